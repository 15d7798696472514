"""Notice results on disk that were cut, emptied or changed since they were written."""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Reading this much takes a second or two. Of larger results only the sizes of their files are compared.
_READ_ALL_UP_TO = 2_000_000_000  # bytes
_CHUNK = 1 << 20


def checksums(folder: Path) -> dict[str, list[int]]:
    """Return size and CRC-32 of each file of a folder."""
    return {path.name: [path.stat().st_size, _crc(path)] for path in sorted(folder.iterdir())}


def read_about(folder: Path) -> dict[str, Any]:
    """Return what a result says of itself: `about.json`.

    Raises:
        FileNotFoundError: there is no such file; the result is incomplete.
        ValueError: it cannot be read.
    """
    content = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError("about.json holds no mapping")
    return content


def damage(folder: Path) -> str | None:
    """Return what is wrong with a result, None if it is whole.

    `about.json` has, under `files`, the `checksums` of the others.
    """
    try:
        written = read_about(folder)["files"]
        sizes = {name: int(size) for name, (size, _) in written.items()}
    except FileNotFoundError:
        return "about.json is missing"
    except (ValueError, KeyError, TypeError, AttributeError):
        return "about.json cannot be read"
    return _difference(folder, sizes, written)


def _difference(folder: Path, sizes: Mapping[str, int], written: Mapping[str, Any]) -> str | None:
    for name, size in sizes.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size:,} bytes instead of {size:,}"
    if sum(sizes.values()) > _READ_ALL_UP_TO:
        return None
    return next((f"{name} has changed" for name in sizes if _crc(folder / name) != written[name][1]), None)


def _crc(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            value = zlib.crc32(chunk, value)
    return value
