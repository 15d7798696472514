"""Write files so that a kill at any moment leaves the old one or the new one, never half of either."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imageclf import InputError


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` with a temporary name in the folder of `path`, which is made, then rename it to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder: a rename is atomic only within one file system.
    # The process id keeps two ranks or two jobs from writing to each other's file.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        replace(temporary, path)
    finally:
        # Left over only where writing failed.
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def write_text(path: Path, text: str) -> None:
    """Write a text atomically, as UTF-8; parts of file names that are not UTF-8 keep their bytes."""
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically, indented."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def rotate(temporary: Path, last: Path, previous: Path) -> None:
    """Make a complete temporary file the last one, and the last one the previous.

    At every moment at least one of them is on the disk and complete.
    """
    _sync(temporary)
    # Renames are atomic; between the two, the previous one is the newest.
    if last.exists():
        last.replace(previous)
    temporary.replace(last)
    _sync(last.parent)


def replace(temporary: Path, path: Path) -> None:
    """Make a complete temporary file the one at `path`."""
    _sync(temporary)
    temporary.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    """Make a file's content, or the renames in a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_folder(path: str | Path) -> bool:
    """Return whether a path leads to a folder; False for a name that is too long, where pathlib raises."""
    return os.path.isdir(path)  # noqa: PTH112


def why_not_listed(path: str | Path, what: str = "folder") -> str:
    """Return why a folder cannot be listed, as a sentence that names `what` was expected; "" if it can."""
    try:
        with os.scandir(path):
            return ""
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return f"there is no such {what}"
    except OSError as error:
        return f"it cannot be read ({error.strerror})"


def is_file(path: str | Path) -> bool:
    """Return whether a path leads to a file; False for a name that is too long, where pathlib raises."""
    return os.path.isfile(path)  # noqa: PTH113


def regular_file(path: Path) -> Path:
    """Return a path if it is a regular file: opening a pipe would wait forever.

    Raises:
        InputError: the path does not exist, or is something else.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path} cannot be read ({reason})") from None
    if not stat.S_ISREG(mode):
        raise InputError(f"{path} is not a file")
    return path


def read_limited(path: Path, most: int) -> bytes:
    """Return the content of a file that anyone may have written, and that has `most` bytes at the most.

    Raises:
        InputError: it is no regular file, cannot be read, or is larger.
    """
    # Looked up first: a file with a hole of a terabyte takes no room on the disk.
    check_size(path, most)
    try:
        with path.open("rb") as file:
            # One byte more than allowed: the file may have grown since.
            content = file.read(most + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from None
    if len(content) > most:
        raise _too_large(path, most)
    return content


def check_size(path: Path, most: int) -> None:
    """Refuse what is no regular file, or has more bytes than a file of its kind may have."""
    if regular_file(path).stat().st_size > most:
        raise _too_large(path, most)


def _too_large(path: Path, most: int) -> InputError:
    return InputError(f"{path} has more than {most:,} bytes: no run writes such a file")


def inside(folder: Path, name: Any) -> Path:
    """Return the path of a file in a folder by its bare name.

    Raises:
        InputError: the name leads out of the folder, by itself or through a link, or there is no such file.
    """
    is_name = (
        isinstance(name, str) and name not in ("", ".", "..") and len(name.encode(errors="replace")) <= 255
    )
    if not is_name or set(name) & {"/", os.sep, "\0", "\\"}:
        raise InputError(f"{str(name)[:100]!r} is not the name of a file in {folder}")
    path = folder / name
    if path.is_symlink():
        raise InputError(f"{path} is a link: copy the file that it leads to")
    return regular_file(path)
