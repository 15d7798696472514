"""The channels that an image of Pillow has, with all their bits: pages, alpha, 16 bits."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from imageclf.data.pictures.pixels import RGB, Bits, Pixels

DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L")
"""Pillow's names of grey pictures with more than 8 bits."""

_SINGLE = ("1", "L", *DEEP_MODES)
# Those that keep a fourth, or a second, channel.
_WITH_ALPHA = {4: ("RGBA", "CMYK"), 2: ("LA",)}
_COLOUR_OF_16 = ("RGB;16B", "RGB;16L", "RGB;16N")
# A tag of TIFF, and its value for numbers with a sign.
_SAMPLE_FORMAT, _SIGNED = 339, 2
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


def decoded(image: Image.Image) -> Image.Image:
    """Load an opened image and return it upright: the same object where it is upright already.

    Raises:
        ValueError: it is a TIFF of signed bytes, which Pillow takes for unsigned ones.
    """
    if image.mode == "L" and _SIGNED in getattr(image, "tag_v2", {}).get(_SAMPLE_FORMAT, ()):
        raise ValueError("its bytes are signed, from -128 to 127: save them as unsigned ones, from 0 to 255")
    image.load()
    # Not ImageOps.exif_transpose: it writes all tags anew, and fails where any of them is odd.
    turn = _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    return image if turn is None else image.transpose(turn)


def opaque(image: Image.Image) -> Image.Image:
    """Return an image with what is transparent on white."""
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image


def native(image: Image.Image) -> Pixels:
    """Return the pixels that keep everything which an opened image has: RGB but for what that would lose.

    Several pages of one channel each are channels; alpha is none, since it goes onto white.
    """
    pages = _pages(image)
    # Whether 32 bits hold more than 16 only their values tell.
    bits: Bits = 16 if image.mode.startswith("I;16") or _is_deep_colour(image) else 8
    if pages > 1:
        # Three channels of 8 bits are RGB, for which the first page is taken.
        return Pixels(pages, 16 if pages == 3 else bits)
    if bits == 16:
        return Pixels(3 if image.mode == "RGB" else 1, bits)
    return RGB


def planes_of(image: Image.Image, channels: int) -> NDArray[Any]:
    """Return the pixels of an image `[H, W, C]`, uint8 or uint16, with C as near to `channels` as it has.

    Raises:
        ValueError: there are several pages, but not one for each of several channels, a page has bands that
            are not read, or values of 32 bits are not whole numbers of 16.
    """
    pages = _pages(image)
    if 1 < pages != channels > 1:
        raise ValueError(f"it has {pages} pages, and data.channels is {channels}")
    if pages == channels > 1:
        planes = []
        for number in range(channels):
            image.seek(number)
            planes.append(_values(decoded(image)))
        return np.concatenate(planes, axis=2)
    if _is_deep_colour(image):
        return _deep_colour(image)
    # Such as RGBX: Pillow leaves out what the X stands for.
    if image.format == "TIFF" and "X" in _raw_mode(image) and channels not in (1, 3):
        raise ValueError(
            "of the bands of its page only grey, or red, green and blue, are read: save all of them as an "
            "array, see docs/pictures.md"
        )
    image = decoded(image)
    if image.mode in DEEP_MODES or image.mode in _WITH_ALPHA.get(channels, ()):
        return _values(image)
    image = opaque(image)
    return _values(image if image.mode in (*_SINGLE, "RGB") else image.convert("RGB"))


def _pages(image: Image.Image) -> int:
    """Return the number of pages with one channel each; 1 of any other image."""
    is_tiff = image.format == "TIFF" and image.mode in _SINGLE
    return int(getattr(image, "n_frames", 1)) if is_tiff else 1


def _values(image: Image.Image) -> NDArray[Any]:
    values = np.asarray(image)
    if values.dtype == np.bool_:
        values = values.astype(np.uint8) * 255
    if values.dtype not in (np.uint8, np.uint16):
        values = _whole(values)
    return values[..., None] if values.ndim == 2 else values


def _whole(values: NDArray[Any]) -> NDArray[np.uint16]:
    if values.dtype == np.dtype(">u2"):
        return values.astype(np.uint16)
    whole = values.astype(np.uint16, casting="unsafe") if np.isfinite(values).all() else None
    if whole is None or not np.array_equal(whole, values):
        raise ValueError(
            f"its values are {values.dtype} and not whole numbers from 0 to 65535: scale them, or give "
            "data.channels=3 data.bits=8"
        )
    return whole


def _is_deep_colour(image: Image.Image) -> bool:
    # Pillow itself reads 8 of these bits: https://github.com/python-pillow/Pillow/issues/1888.
    return image.mode == "RGB" and any(name in _raw_mode(image) for name in _COLOUR_OF_16)


def _raw_mode(image: Image.Image) -> str:
    """Return a text that has Pillow's name of the values in a file; none of an image without one."""
    tiles = getattr(image, "tile", None) or [()]
    return str(tiles[0])


def _deep_colour(image: Image.Image) -> NDArray[np.uint16]:
    file: Any = image.fp  # type: ignore[attr-defined]
    file.seek(0)
    content = np.frombuffer(file.read(), dtype=np.uint8)
    # Pillow says what is wrong with a damaged file, and whether it is to be turned.
    is_upright = decoded(image) is image
    found = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    if not is_upright or found is None or found.dtype != np.uint16 or found.ndim != 3:
        raise ValueError("its 16 bits a channel cannot be read; give data.bits=8")
    return np.ascontiguousarray(found[..., 2::-1])
