"""Decode every picture once before training, so that a broken one is named in the first minute."""

import hashlib
import logging
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.progress import track

from imageclf import InputError
from imageclf.data.decode import read_picture

log = logging.getLogger(__name__)

_SHOWN = 10


def unreadable(paths: Sequence[str]) -> dict[int, str]:
    """Return the position and the fault of every file that does not decode to its last row.

    A set of files that was found whole is not decoded again while path, size and time of each stay
    as they are.
    """
    marker = _cache_dir() / "verified" / _fingerprint(paths)
    if marker.exists():
        return {}
    with ThreadPoolExecutor() as pool:
        checks = pool.map(_fault, paths)
        watched = track(
            checks, "Checking pictures", total=len(paths), transient=True, disable=len(paths) < 1000
        )
        faults = {index: fault for index, fault in enumerate(watched) if fault}
    if not faults:
        marker.parent.mkdir(parents=True, exist_ok=True)
        marker.touch()
    return faults


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


def _fingerprint(paths: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path}\0{_size_and_time(path)}\n".encode())
    return digest.hexdigest()


def _size_and_time(path: str) -> str:
    try:
        status = Path(path).stat()
    except OSError:  # Decoding says what is wrong with it.
        return ""
    return f"{status.st_size}\0{status.st_mtime_ns}"


def _cache_dir() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "imageclf"
