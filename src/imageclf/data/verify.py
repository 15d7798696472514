"""Decode every picture once before training, so that a broken one is named in the first minute."""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

from rich.progress import track

from imageclf import InputError
from imageclf.data.cache import content_key
from imageclf.data.caching import Caching
from imageclf.data.decode import read_picture

log = logging.getLogger(__name__)

_SHOWN = 10
_CHUNK = 4096


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
        _checks(paths), "Checking pictures", total=len(paths), transient=True, disable=len(paths) < 1000
    )
    faults = {index: fault for index, fault in enumerate(watched) if fault}
    if remembers and paths and not faults:
        about = {"pictures": len(paths), "first": paths[0]}
        caching.folder.get("verified", key, about, build=_nothing)
    return faults


def _checks(paths: Sequence[str]) -> Iterator[str | None]:
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(paths), _CHUNK):
            yield from pool.map(_fault, paths[start : start + _CHUNK])


def _nothing(folder: Path) -> None:
    """That the entry is there says it all."""


def describe(faults: Sequence[str]) -> str:
    """Return a sentence that names the broken files, at most ten of them."""
    shown = "; ".join(faults[:_SHOWN])
    more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    return f"{len(faults)} of the pictures cannot be read: {shown}{more}"


def _fault(path: str) -> str | None:
    try:
        read_picture(path)
    except InputError as error:
        return str(error)
    return None
