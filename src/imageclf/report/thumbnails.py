"""Pictures small enough to embed in a page."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from imageclf.data.pictures.decode import open_picture
from imageclf.report.page import data_uri


def thumbnail_uri(path: Path, longest_side: int = 224) -> str | None:
    """Return a picture as a `data:` URI of a JPEG, rotated as EXIF says; None if it cannot be read.

    `longest_side` is in pixels; smaller pictures are not enlarged, transparent ones get a white background.
    """
    try:
        with open_picture(path) as picture:
            # Lets the JPEG decoder skip detail that is not needed.
            picture.draft("RGB", (2 * longest_side, 2 * longest_side))
            small = _opaque(ImageOps.exif_transpose(picture))
    # Pillow raises SyntaxError for broken PNG chunks and ValueError for broken EXIF or modes.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    small.thumbnail((longest_side, longest_side))
    return _jpeg_uri(small)


def _opaque(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    layer = picture.convert("RGBA")
    background = Image.new("RGB", layer.size, "white")
    background.paste(layer, mask=layer.getchannel("A"))
    return background


def pixels_uri(pixels: NDArray[np.uint8]) -> str:
    """Return pixels `[H, W, 3]` as a `data:` URI of a JPEG."""
    return _jpeg_uri(Image.fromarray(pixels))


def _jpeg_uri(picture: Image.Image) -> str:
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=82)
    return data_uri("jpeg", content.getvalue())
