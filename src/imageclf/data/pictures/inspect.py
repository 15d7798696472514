"""Inspect a picture file: size, kind, fault if it has one, and hashes to find duplicates by."""

import hashlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imageclf import InputError
from imageclf.data.pictures.arrays import shown
from imageclf.data.pictures.decode import num_frames, read_header
from imageclf.data.pictures.kinds import read_native

CELLS = 16
# Grey levels; with less contrast, pictures show so little that they would all look the same.
_LEAST_CONTRAST = 1.0
# Pixels a side that suffice for it.
_ENOUGH = 256


class Inspection(NamedTuple):
    """The result of inspecting one file.

    Args:
        width: pixels of the upright picture; for a broken file what its header says, or 0.
        height: likewise.
        num_bytes: size of the file.
        format: Pillow's name, such as JPEG, or NPY; "" where it is no picture.
        mode: Pillow's name, such as RGB, or of an array its type and channels; "" where it is no picture.
        frames: of an animation, else 1; 0 where it is no picture.
        fault: why it cannot be read, or "".
        pixels: hash of the upright picture, RGB unless it has more, and its size; empty for a broken file.
        appearance: see `appearance_of`; it changes little when a picture is saved again or resized. Empty
            for a broken file.
    """

    width: int
    height: int
    num_bytes: int
    format: str
    mode: str
    frames: int
    fault: str
    pixels: bytes
    appearance: bytes


def inspect_picture(path: str) -> Inspection:
    """Decode a file to its last row; a broken one is described and raises nothing."""
    width, height, form, mode, frames = _header(path)
    num_bytes = _num_bytes(path)
    try:
        pixels = read_native(path)
    except InputError as error:
        fault = "the file is empty" if num_bytes == 0 else str(error).removeprefix(f"{path}: ")
        return Inspection(width, height, num_bytes or 0, form, mode, frames, fault, b"", b"")
    height, width = pixels.shape[:2]
    hashes = hash_pixels(pixels), appearance_of(shown(pixels))
    return Inspection(width, height, num_bytes or 0, form, mode, frames, "", *hashes)


def _header(path: str) -> tuple[int, int, str, str, int]:
    """Return what an `Inspection` tells of a broken file: width, height, format, mode and frames."""
    found = read_header(
        path,
        lambda array: (array.shape[1], array.shape[0], "NPY", f"{array.dtype} x {array.shape[2]}", 1),
        lambda image: (*image.size, image.format or "", image.mode, num_frames(image)),
    )
    return found or (0, 0, "", "", 0)


def hash_pixels(picture: NDArray[Any]) -> bytes:
    """Return 16 bytes that are equal for equal pictures `[H, W, C]`."""
    # The size too: four pixels in a row are not four in a square.
    digest = hashlib.blake2b(str(picture.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(picture).data)
    return digest.digest()


def appearance_of(picture: NDArray[np.uint8]) -> bytes:
    """Return what a picture `[H, W, 3]` looks like from afar, as 256 numbers with mean 0 and length 1.

    They are the grey levels of 16 x 16 cells, as float16; brightness and contrast make no difference. Empty
    for a picture that shows hardly anything.
    """
    grey = Image.fromarray(picture).convert("L")
    grey = grey.reduce(max(1, min(grey.size) // _ENOUGH)).convert("F")
    # Overlapping cells: their borders between pixels make no difference, and noise is averaged away.
    cells = np.asarray(grey.resize((CELLS, CELLS), Image.Resampling.BILINEAR), dtype=np.float64)
    cells = cells - cells.mean()
    if cells.std() < _LEAST_CONTRAST:
        return b""
    appearance: bytes = (cells / np.linalg.norm(cells)).astype(np.float16).tobytes()
    return appearance


def _num_bytes(path: str) -> int | None:
    try:
        return Path(path).stat().st_size if Path(path).is_file() else None
    except OSError:  # Decoding reports it.
        return None
