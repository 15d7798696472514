"""Decode every picture once before training, so that a broken one is named in the first minute."""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from rich.progress import track

from imageclf import InputError
from imageclf.data.cache import content_key
from imageclf.data.caching import Caching, about_files
from imageclf.data.decode import num_frames, read_picture
from imageclf.data.names import listing

log = logging.getLogger(__name__)

_SHOWN = 10
# Suffixes of formats that hold several frames.
_ANIMATED = (".gif", ".webp", ".png", ".tif", ".tiff")
_CHUNK = 4096


class _Finding(NamedTuple):
    """What is wrong with a file, and how many frames it has otherwise."""

    fault: str | None
    frames: int


def unreadable(paths: Sequence[str], caching: Caching) -> dict[int, str]:
    """Return the position and the fault of every file that does not decode to its last row.

    A set of files that was found whole is not decoded again while its fingerprint stays, unless
    nothing is to be cached.

    Args:
        paths: of the files.
        caching: where it is remembered.
    """
    remembers = caching.cache != "none"
    key = content_key(files=caching.digest(paths), pillow=version("pillow")) if remembers else ""
    if remembers and caching.folder.find("verified", key):
        return {}
    watched = track(
        _findings(paths), "Checking pictures", total=len(paths), transient=True, disable=len(paths) < 1000
    )
    faults, animated = {}, []
    for index, finding in enumerate(watched):
        if finding.fault is not None:
            faults[index] = finding.fault
        elif finding.frames > 1:
            animated.append(paths[index])
    if animated:
        log.info(
            "%d pictures hold several frames, of which the first is taken: %s",
            len(animated),
            listing(animated),
        )
    if remembers and paths and not faults:
        caching.folder.get("verified", key, about_files(paths), build=_nothing)
    return faults


def _findings(paths: Sequence[str]) -> Iterator[_Finding]:
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(paths), _CHUNK):
            yield from pool.map(_look, paths[start : start + _CHUNK])


def _nothing(folder: Path) -> None:
    """That the entry is there says it all."""


def describe(faults: Sequence[str]) -> str:
    """Return a sentence that names the broken files, at most ten of them."""
    shown = "; ".join(faults[:_SHOWN])
    more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    return f"{len(faults)} of the pictures cannot be read: {shown}{more}"


def _look(path: str) -> _Finding:
    try:
        read_picture(path)
        return _Finding(None, num_frames(path) if path.lower().endswith(_ANIMATED) else 1)
    except InputError as error:
        return _Finding(str(error), 0)
