"""Decode picture files of any kind that people have to uint8 pixels."""

import os
import stat
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from imageclf import InputError

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
"""Pillow's names of what is decoded; JPEG opens MPO, PPM opens PGM and PBM. Pillow goes by a file's content,
whatever its suffix (see `data.sources.listing`), and would hand PostScript to Ghostscript, which runs it."""

# Above any camera, below what fills the memory. Pillow only warns from here on.
MAX_PIXELS = 89_478_485
BACKGROUND = (255, 255, 255)
# The operation that makes a picture upright, by EXIF orientation.
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def open_picture(path: str | Path) -> ImageFile.ImageFile:
    """Return a picture whose header is read.

    Raises:
        OSError: there is no such file, or it is not a regular one: opening a pipe or a device may wait
            forever or have an effect.
        PIL.UnidentifiedImageError: it has none of the formats.
    """
    # Whoever swaps the file between the two calls only makes this process wait.
    mode = os.stat(path).st_mode  # noqa: PTH116
    if not stat.S_ISREG(mode):
        what = "folder" if stat.S_ISDIR(mode) else "pipe, a socket or a device"
        raise OSError(f"it is a {what}, not a file")
    return Image.open(path, formats=FORMATS)


def read_picture(path: str | Path, at_least: int | None = None) -> NDArray[np.uint8]:
    """Return the pixels `[H, W, 3]` of a file: upright, transparency on white, 16 bits scaled to 8.

    Args:
        path: the file; of an animation, the first frame.
        at_least: pixels a side that suffice; a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size.

    Raises:
        InputError: the file is missing, truncated or not a picture, or has more than MAX_PIXELS pixels.
    """
    return read_scales(path, [at_least])[0]


def read_scales(path: str | Path, at_least: Sequence[int | None]) -> list[NDArray[np.uint8]]:
    """Return what `read_picture` returns for each value of `at_least`, decoding once per scale.

    Raises:
        InputError: as `read_picture`; a file has the same fault at every scale.
    """
    decoded: dict[tuple[int, int], NDArray[np.uint8]] = {}
    sizes = []
    try:
        for each in at_least:
            with open_picture(path) as image:
                sizes.append(_scale_down(image, each))
                if sizes[-1] not in decoded:
                    decoded[sizes[-1]] = pixels_of(image)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except UnidentifiedImageError:
        raise InputError(f"{path}: not a picture") from None
    except Exception as error:  # Pillow's plugins raise anything on a broken file.
        raise InputError(f"{path}: {_sentence(error)}") from None
    return [decoded[size] for size in sizes]


def pixels_of(image: Image.Image) -> NDArray[np.uint8]:
    """Return the pixels `[H, W, 3]` of an opened image, as `read_picture` returns those of a file."""
    return np.asarray(_to_rgb(_decoded(image)))


def num_frames(path: str | Path) -> int:
    """Return the number of pictures in a readable file; more than one in animations and the like."""
    with open_picture(path) as image:
        return getattr(image, "n_frames", 1)


def _scale_down(image: ImageFile.ImageFile, at_least: int | None) -> tuple[int, int]:
    """Choose the scale to decode a file at, and return the (width, height) that it gives."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width} x {height} is more than {MAX_PIXELS:,} pixels")
    if at_least is not None:
        image.draft("RGB", (at_least, at_least))
    return image.size


def _decoded(image: Image.Image) -> Image.Image:
    image.load()
    return _upright(image)


def _upright(image: Image.Image) -> Image.Image:
    # Not ImageOps.exif_transpose: it writes all tags anew, and fails where any of them is odd.
    turn = _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F", "I;16", "I;16B", "I;16L"):
        return _scaled_to_8_bit(image).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        background = Image.new("RGBA", image.size, (*BACKGROUND, 255))
        image = Image.alpha_composite(background, image)
    # Converting RGB to RGB would copy it, which takes a tenth of the time of decoding.
    return image if image.mode == "RGB" else image.convert("RGB")


def _scaled_to_8_bit(image: Image.Image) -> Image.Image:
    pixels = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0, neginf=0)
    top = 65535.0
    # By convention 32 bits hold 8 or 16; floats may also run from 0 to 1.
    if image.mode in ("I", "F") and pixels.max() <= 255:
        top = 1.0 if image.mode == "F" and pixels.max() <= 1 else 255.0
    return Image.fromarray(np.clip(np.rint(pixels / top * 255), 0, 255).astype(np.uint8))


def _sentence(error: Exception) -> str:
    text = str(error).split("\n")[0]
    return text or type(error).__name__
