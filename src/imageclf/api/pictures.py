"""What `Run.predict` takes: paths of files and folders, or pictures in memory."""

import os
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imageclf import InputError
from imageclf.data.pictures.arrays import as_picture, fitted
from imageclf.data.pictures.decode import MAX_PIXELS, pixels_of
from imageclf.data.pictures.pixels import RGB, Pixels
from imageclf.data.views.augmentation import Picture

AnyPath = str | os.PathLike[str]
InMemory = Image.Image | NDArray[Any]
Given = AnyPath | InMemory
"""A picture: a path, a PIL image, or an array such as uint8 `[H, W, 3]`."""

Pictures = Given | Iterable[Given]
"""One picture or several, a folder, or a CSV of paths; an array `[N, H, W, 3]` is N pictures."""


def listed(pictures: Pictures) -> tuple[list[str], list[InMemory]]:
    """Return the paths among pictures, and those that are in memory: one of the two lists is empty.

    Raises:
        InputError: there is none, they are of both kinds, or one is no picture.
    """
    is_batch = isinstance(pictures, np.ndarray) and pictures.ndim == 4
    is_one = isinstance(pictures, str | os.PathLike | Image.Image | np.ndarray) and not is_batch
    given: list[Any] = [pictures] if is_one or not isinstance(pictures, Iterable) else list(pictures)
    paths = [os.fspath(each) for each in given if isinstance(each, str | os.PathLike)]
    others = [each for each in given if not isinstance(each, str | os.PathLike)]
    if not given:
        raise InputError("there is nothing to predict: name a picture, a folder, a CSV, or several of them")
    if paths and others:
        raise InputError("these are both paths and pictures in memory: predict each kind by itself")
    return paths, others


def pixels(picture: InMemory, kind: Pixels = RGB) -> Picture:
    """Return the pixels `[H, W, C]` of a picture in memory, as those of its file would be for a run.

    Raises:
        InputError: it is no picture, cannot be read, is too large or has other channels than the run.
    """
    if isinstance(picture, np.ndarray) and not kind.is_rgb:
        return _from_array(picture, kind)
    image = _image(picture)
    if image.width * image.height > MAX_PIXELS:
        raise InputError(f"a picture of {image.width} x {image.height} has more than {MAX_PIXELS:,} pixels")
    try:
        return pixels_of(image, kind)
    except Exception as error:  # Pillow's plugins raise anything on a broken file.
        raise InputError(
            f"{getattr(image, 'filename', '') or 'a picture'} cannot be read ({error})"
        ) from None


def _from_array(array: NDArray[Any], kind: Pixels) -> Picture:
    try:
        return fitted(as_picture(array), kind)
    except ValueError as error:
        raise InputError(f"an array {list(array.shape)} of {array.dtype} is no picture: {error}") from None


def _image(picture: object) -> Image.Image:
    if isinstance(picture, Image.Image):
        return picture
    if not isinstance(picture, np.ndarray):
        raise InputError(f"{type(picture).__name__} is no picture: give a path, a PIL image or a NumPy array")
    try:
        return Image.fromarray(picture)
    except (TypeError, ValueError):
        raise InputError(
            f"an array {list(picture.shape)} of {picture.dtype} is no picture: give uint8 [H, W, 3], or "
            "one that PIL.Image.fromarray takes; of values from 0 to 1, (255 * array).round().astype('uint8')"
        ) from None
