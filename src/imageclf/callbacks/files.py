"""Write files so that a kill at any moment leaves the old one or the new one, never half of either."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` with a temporary name beside `path`, sync it to the disk and rename it to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        _sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync(path.parent)


def rotate(temporary: Path, last: Path, previous: Path) -> None:
    """Make a complete temporary file the last one, and the last one the previous.

    At every moment at least one of them is on the disk and complete.
    """
    _sync(temporary)
    # Renames are atomic; between the two the previous one is the newest.
    if last.exists():
        last.replace(previous)
    temporary.replace(last)
    _sync(last.parent)


def _sync(path: Path) -> None:
    """Make a file's content, or a folder's renames, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def save_tensors(content: dict[str, Any], path: Path) -> None:
    """Save tensors and plain values atomically."""
    write_atomically(path, lambda temporary: torch.save(content, temporary))


def is_whole(path: Path) -> bool:
    """Return whether a file of torch.save is complete: its zip holds a CRC-32 of every tensor."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False
