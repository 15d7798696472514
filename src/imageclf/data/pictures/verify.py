"""Decode every picture once before training, so that a broken one is reported in the first minute."""

import logging
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType

from imageclf.data.pictures.cache import content_key
from imageclf.data.pictures.caching import Caching, about_files, fitting_form
from imageclf.data.pictures.pixels import RGB, Pixels
from imageclf.data.pictures.shrinking import Findings, decode_all
from imageclf.data.views.geometry import Resize
from imageclf.schedule.size import PictureSize
from imageclf.system.words import counted, listed

log = logging.getLogger(__name__)

_SHOWN = 10
_TITLE = "Checking pictures"


class _BrokenError(Exception):
    """Some files do not decode to their last row; the faults are the argument."""


def unreadable(
    paths: Sequence[str],
    caching: Caching,
    sides: Mapping[PictureSize, PictureSize] = MappingProxyType({}),
    resize: Resize = "crop",
    pixels: Pixels = RGB,
) -> dict[int, str]:
    """Return the fault of every file that does not decode to its last row, by position.

    A set of files without faults is not decoded again while its fingerprint stays the same, unless
    caching is off. Files that are decoded and have no fault are also shrunk in the same pass, for the
    sizes of the views in `sides`, which holds the `stored_side` of each. A file without the channels of
    `pixels` has a fault.
    """
    if caching.cache == "none":
        return _log_animated(paths, decode_all(paths, {}, _TITLE, checks=True, pixels=pixels)).faults
    digest = caching.digest(paths)
    key = content_key(files=digest, pillow=version("pillow"), **pixels.key)
    if not paths or caching.folder.find("verified", key):
        return {}
    wanted = caching.specs(paths, sides, resize, fitting_form, pixels)

    def check(folder: Path) -> None:
        """Decode all files; the entry stays empty, and its existence means that no file has a fault."""
        with caching.staged(folder, paths, digest, wanted) as stages:
            findings = _log_animated(paths, decode_all(paths, stages, _TITLE, checks=True, pixels=pixels))
            if findings.faults:
                raise _BrokenError(findings.faults)

    try:
        caching.folder.get("verified", key, about_files(paths), check)
    except _BrokenError as broken:
        return dict(broken.args[0])
    return {}


def describe(faults: Sequence[str]) -> str:
    """Describe the broken files in a sentence that names at most ten of them."""
    shown = "; ".join(faults[:_SHOWN])
    more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    return f"{counted(len(faults), 'picture')} cannot be read: {shown}{more}"


def _log_animated(paths: Sequence[str], findings: Findings) -> Findings:
    if findings.animated:
        log.info(
            "%s several frames, of which the first is taken: %s",
            counted(len(findings.animated), "picture holds", "pictures hold"),
            listed([paths[row] for row in findings.animated]),
        )
    return findings
