"""Inspect a picture file: size, kind, fault if it has one, and hashes to find duplicates by."""

import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imageclf import InputError
from imageclf.data.pictures.decode import open_picture, read_picture

LOOK_SIDE = 16
# Grey levels by which a neighbour must be brighter: compression noise is below it.
_MARGIN = 4
# Of 256; with fewer, pictures show so little that they would all look the same.
_LEAST_BITS = 8
# Pixels a side that suffice for a look.
_ENOUGH = 256


class Inspection(NamedTuple):
    """The result of inspecting one file.

    Args:
        width: pixels of the upright picture; for a broken file what its header says, or 0.
        height: likewise.
        num_bytes: size of the file.
        format: Pillow's name, such as JPEG; "" where it is no picture.
        mode: Pillow's name, such as RGB; "" where it is no picture.
        frames: of an animation, else 1; 0 where it is no picture.
        fault: why it cannot be read, or "".
        pixels: hash of the upright RGB picture and its size; empty for a broken file.
        look: 256 bits that change little when a picture is saved again or resized; empty for a broken
            file and for a picture that shows hardly anything.
    """

    width: int
    height: int
    num_bytes: int
    format: str
    mode: str
    frames: int
    fault: str
    pixels: bytes
    look: bytes


def inspect_picture(path: str) -> Inspection:
    """Decode a file to its last row; a broken one is described and raises nothing."""
    width, height, form, mode, frames = _header(path)
    num_bytes = _num_bytes(path)
    try:
        pixels = read_picture(path)
    except InputError as error:
        fault = "the file is empty" if num_bytes == 0 else str(error).removeprefix(f"{path}: ")
        return Inspection(width, height, num_bytes or 0, form, mode, frames, fault, b"", b"")
    height, width = pixels.shape[:2]
    hashes = hash_pixels(pixels), hash_look(pixels)
    return Inspection(width, height, num_bytes or 0, form, mode, frames, "", *hashes)


def _header(path: str) -> tuple[int, int, str, str, int]:
    """Return what an `Inspection` tells of a broken file: width, height, format, mode and frames."""
    try:
        with open_picture(path) as image:
            return (*image.size, image.format or "", image.mode, _num_frames(image))
    except Exception:  # Pillow's plugins raise anything on a broken file; decoding reports it.
        return (0, 0, "", "", 0)


def hash_pixels(picture: NDArray[np.uint8]) -> bytes:
    """Return 16 bytes that are equal for equal pictures `[H, W, 3]`."""
    # The size too: four pixels in a row are not four in a square.
    digest = hashlib.blake2b(str(picture.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(picture).data)
    return digest.digest()


def hash_look(picture: NDArray[np.uint8]) -> bytes:
    """Return for each cell of a 16 x 16 grid whether the picture gets brighter to the right: 256 bits.

    Empty for a picture `[H, W, 3]` with hardly any such cell.

    Source: the difference hash, https://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html,
    with a margin against noise.
    """
    grey = Image.fromarray(picture).convert("L")
    grey = grey.reduce(max(1, min(grey.size) // _ENOUGH))
    # In floats: rounded to whole grey levels neighbours would tie.
    small = grey.convert("F").resize((LOOK_SIDE + 1, LOOK_SIDE), Image.Resampling.BILINEAR)
    cells = np.asarray(small)
    brighter = cells[:, 1:] > cells[:, :-1] + _MARGIN
    return np.packbits(brighter).tobytes() if brighter.sum() >= _LEAST_BITS else b""


def _num_frames(image: Image.Image) -> int:
    # Phones append a preview or a gain map to a photo: that is not an animation.
    return 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))


def _num_bytes(path: str) -> int | None:
    try:
        return Path(path).stat().st_size if Path(path).is_file() else None
    except OSError:  # Decoding reports it.
        return None
