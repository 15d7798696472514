"""Decode picture files of any kind that people have to pixels: RGB of 8 bits, or what else a run asks for."""

import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from imageclf import InputError
from imageclf.data.pictures.arrays import fitted, is_array, read_array
from imageclf.data.pictures.pixels import RGB, Pixels
from imageclf.data.pictures.planes import DEEP_MODES, decoded, opaque, planes_of
from imageclf.data.sources.listing import convert_hint
from imageclf.system.words import first_line

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM")
"""Pillow's names of what is decoded; JPEG opens MPO, PPM opens PGM and PBM. Pillow goes by a file's content,
whatever its suffix (see `data.sources.listing`), and would hand PostScript to Ghostscript, which runs it."""

# Above any camera, below what fills the memory. Pillow only warns from here on.
MAX_PIXELS = 89_478_485

Header = TypeVar("Header")


def open_picture(path: str | Path) -> ImageFile.ImageFile:
    """Return a picture whose header is read.

    Raises:
        OSError: there is no such file, or it is not a regular one: opening a pipe or a device may wait
            forever or have an effect.
        PIL.UnidentifiedImageError: it has none of the formats.
    """
    _check_regular(path)
    return Image.open(path, formats=FORMATS)


def read_picture(path: str | Path, at_least: int | None = None, pixels: Pixels = RGB) -> NDArray[Any]:
    """Return the pixels `[H, W, C]` of a file: upright, transparency on white, with the channels of a run.

    Args:
        path: the file; of an animation, the first frame.
        at_least: pixels a side that suffice; a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size.
        pixels: channels and bits to decode to; where the file has others they are scaled, see `fitted`.

    Raises:
        InputError: the file is missing, truncated or not a picture, has more than MAX_PIXELS pixels, or other
            channels than the run.
    """
    return read_scales(path, [at_least], pixels)[0]


def read_scales(path: str | Path, at_least: Sequence[int | None], pixels: Pixels = RGB) -> list[NDArray[Any]]:
    """Return what `read_picture` returns for each value of `at_least`, decoding once per scale.

    Raises:
        InputError: as `read_picture`; a file has the same fault at every scale.
    """
    try:
        if is_array(path):
            # A copy: a mapped file may change.
            return [np.array(fitted(array_of(path), pixels))] * len(at_least)
        return _scales(path, at_least, pixels)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except UnidentifiedImageError:
        remedy = _remedy(str(path))
        raise InputError(f"{path}: not a picture{f' that is read{remedy}' if remedy else ''}") from None
    except Exception as error:  # Pillow's plugins raise anything on a broken file.
        raise InputError(f"{path}: {first_line(error)}") from None


def pixels_of(image: Image.Image, pixels: Pixels) -> NDArray[Any]:
    """Return the pixels `[H, W, C]` of an opened image, as `read_picture` returns those of a file.

    Raises:
        ValueError: it has other channels than the run, or values that are none of a picture.
    """
    if pixels.is_rgb:
        colours = _to_8_bit(decoded(image))
        # Converting RGB to RGB would copy it, which takes a tenth of the time of decoding.
        return np.asarray(colours if colours.mode == "RGB" else colours.convert("RGB"))
    if pixels.takes_jpeg:
        return np.asarray(_to_8_bit(decoded(image)).convert("L"))[..., None]
    return fitted(planes_of(image, pixels.channels), pixels)


def shape_of(path: str | Path) -> tuple[int, int] | None:
    """Return (width, height) by the header alone, of a picture as it is stored; None if it is none."""
    return read_header(path, lambda array: (array.shape[1], array.shape[0]), lambda image: image.size)


def read_header(
    path: str | Path, of_array: Callable[[NDArray[Any]], Header], of_image: Callable[[Image.Image], Header]
) -> Header | None:
    """Return what a function finds in a mapped array, or an image not decoded yet; None if it is neither."""
    try:
        if is_array(path):
            return of_array(array_of(path))
        with open_picture(path) as image:
            return of_image(image)
    except Exception:  # Pillow's plugins raise anything on a broken file; decoding reports it.
        return None


def num_frames(image: Image.Image) -> int:
    """Return the number of pictures in an opened image; more than one in animations and the like."""
    # Phones append a preview or a gain map to a photo: that is not an animation.
    return 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))


def _scales(path: str | Path, at_least: Sequence[int | None], pixels: Pixels) -> list[NDArray[Any]]:
    by_size: dict[tuple[int, int], NDArray[Any]] = {}
    sizes = []
    for each in at_least:
        with open_picture(path) as image:
            _check_size(*image.size)
            if each is not None:
                # Of a JPEG, this sets the scale that it is decoded at, and the size that it then has.
                image.draft("L" if pixels.channels == 1 else "RGB", (each, each))
            sizes.append(image.size)
            if sizes[-1] not in by_size:
                by_size[sizes[-1]] = pixels_of(image, pixels)
    return [by_size[size] for size in sizes]


def array_of(path: str | Path) -> NDArray[Any]:
    """Return the array `[H, W, C]` of a file of NumPy's, mapped.

    Raises:
        OSError: as `open_picture`.
        ValueError: it is too large, or holds something else.
    """
    _check_regular(path)
    array = read_array(path)
    _check_size(array.shape[1], array.shape[0])
    return array


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width} x {height} is more than {MAX_PIXELS:,} pixels")


def _check_regular(path: str | Path) -> None:
    # Whoever swaps the file between the two calls only makes this process wait.
    mode = os.stat(path).st_mode  # noqa: PTH116
    if not stat.S_ISREG(mode):
        what = "folder" if stat.S_ISDIR(mode) else "pipe, a socket or a device"
        raise OSError(f"it is a {what}, not a file")


def _remedy(path: str) -> str:
    """Return what to do with a file of a format that is not read, or of a kind of TIFF, by its suffix."""
    if path.lower().endswith((".tif", ".tiff")):
        return "; save the bands or floats of a TIFF as an array of uint8 or uint16, see docs/pictures.md"
    return convert_hint([path])


def _to_8_bit(image: Image.Image) -> Image.Image:
    if image.mode not in DEEP_MODES:
        return opaque(image)
    pixels = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0, neginf=0)
    top = 65535.0
    # By convention 32 bits hold 8 or 16; floats may also run from 0 to 1.
    if image.mode in ("I", "F") and pixels.max() <= 255:
        top = 1.0 if image.mode == "F" and pixels.max() <= 1 else 255.0
    scaled = np.rint(pixels / top * 255)
    if scaled.min() < 0 or scaled.max() > 255:
        raise ValueError(
            f"its values run from {pixels.min():g} to {pixels.max():g}, not from 0 to 65535: scale them"
        )
    return Image.fromarray(scaled.astype(np.uint8))
