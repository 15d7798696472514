"""Arrays of any number of channels and bits as the pixels of a run, and as a picture to look at."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imageclf.data.pictures.pixels import MAX_CHANNELS, Pixels

SUFFIX = ".npy"
"""Of an array in a file, as `numpy.save` writes it."""

# ITU-R 601, as in Pillow.
_LUMA = np.array([299, 587, 114], dtype=np.float64) / 1000


def is_array(path: str | Path) -> bool:
    """Return whether a file holds an array, by its suffix."""
    return str(path).lower().endswith(SUFFIX)


def read_array(path: str | Path) -> NDArray[Any]:
    """Return the array `[H, W, C]` of a file, mapped; of a type that `fitted` takes.

    Raises:
        ValueError: it holds something else.
    """
    # A pickle could run code.
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    return as_picture(array)


def as_picture(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array `[H, W]` or `[H, W, C]` as `[H, W, C]`.

    Raises:
        ValueError: it has another shape or type.
    """
    planes = array[..., None] if array.ndim == 2 else array
    if planes.ndim != 3 or 0 in planes.shape or planes.shape[2] > MAX_CHANNELS:
        raise ValueError(
            f"its array is {list(array.shape)}, not [height, width] or [height, width, channels] with up to "
            f"{MAX_CHANNELS} channels"
        )
    planes = planes.astype(planes.dtype.newbyteorder("="), copy=False)
    if planes.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"its values are {array.dtype}, not uint8 or uint16: scale them, such as values from 0 to 1 by "
            "(65535 * array).round().astype('uint16')"
        )
    return planes


def fitted(array: NDArray[Any], pixels: Pixels) -> NDArray[Any]:
    """Return pixels `[H, W, C]`, uint8 or uint16, with the channels and bits of a run.

    One channel is repeated, three become one by their luma, 8 bits are scaled to 16, and 16 to 8.

    Raises:
        ValueError: there is no such way from its channels to those of the run.
    """
    count = array.shape[2]
    if count == 3 and pixels.channels == 1:
        array = np.rint(array @ _LUMA)[..., None].astype(array.dtype)
    elif count == 1 and pixels.channels > 1:
        array = np.repeat(array, pixels.channels, axis=2)
    elif count != pixels.channels:
        raise ValueError(f"it has {count} channels, and data.channels is {pixels.channels}")
    if array.dtype == np.uint8 and pixels.bits == 16:
        array = array.astype(np.uint16) * 257
    elif array.dtype == np.uint16 and pixels.bits == 8:
        array = np.rint(array / 65535 * 255).astype(np.uint8)
    return np.ascontiguousarray(array)


def shown(picture: NDArray[Any]) -> NDArray[np.uint8]:
    """Return pixels `[H, W, C]` as RGB to look at, uint8 `[H, W, 3]`.

    Of 16 bits, what lies between the darkest and the brightest value, where these differ; of more than three
    channels, the first three; of two, the first.
    """
    if picture.dtype == np.uint16:
        low, high = int(picture.min()), int(picture.max())
        low, high = (low, high) if low < high else (0, 65535)
        picture = ((picture - np.float32(low)) * (255 / (high - low))).round().astype(np.uint8)
    chosen = picture[..., :3] if picture.shape[2] >= 3 else picture[..., :1].repeat(3, axis=2)
    return np.ascontiguousarray(chosen)
