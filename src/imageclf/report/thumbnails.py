"""Pictures small enough to travel inside a report."""

import base64
import io
from pathlib import Path

from PIL import Image, ImageOps

from imageclf.data.pictures.decode import open_picture


def thumbnail_uri(path: Path, longest_side: int = 224) -> str | None:
    """Return a picture as a `data:` address of a JPEG, turned as EXIF says; None if it cannot be read.

    `longest_side` is in pixels; smaller pictures are not enlarged, transparent ones get a white ground.
    """
    try:
        with open_picture(path) as picture:
            # Lets the JPEG decoder skip detail that is thrown away anyway.
            picture.draft("RGB", (2 * longest_side, 2 * longest_side))
            small = _opaque(ImageOps.exif_transpose(picture))
    # Pillow raises SyntaxError for broken PNG chunks and ValueError for broken EXIF or modes.
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    # After turning and draft: the limit holds for what is shown.
    small.thumbnail((longest_side, longest_side))
    content = io.BytesIO()
    small.save(content, "JPEG", quality=82)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"


def _opaque(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    layer = picture.convert("RGBA")
    ground = Image.new("RGB", layer.size, "white")
    ground.paste(layer, mask=layer.getchannel("A"))
    return ground
