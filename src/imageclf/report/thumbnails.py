"""Pictures small enough to embed in a page."""

import base64
import io
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray
from PIL import Image

from imageclf import InputError
from imageclf.data.pictures.arrays import shown
from imageclf.data.pictures.kinds import read_shown


class Picture(NamedTuple):
    """A picture as a page shows it: a `data:` URI, None if unreadable, the file's name, and its path."""

    image: str | None
    name: str
    path: str


def thumbnail(path: Path, longest_side: int = 224) -> Image.Image | None:
    """Return a picture of any kind as RGB to look at, shrunk; None if it cannot be read.

    `longest_side` is in pixels; smaller pictures are not enlarged.
    """
    try:
        # With detail to spare for the filter that makes it small.
        small = Image.fromarray(read_shown(path, at_least=2 * longest_side))
    except InputError:
        return None
    small.thumbnail((longest_side, longest_side))
    return small


def thumbnail_uri(path: Path, longest_side: int = 224) -> str | None:
    """Return what `thumbnail` returns as a `data:` URI of a JPEG."""
    small = thumbnail(path, longest_side)
    return None if small is None else _jpeg_uri(small)


def picture_at(path: str, folder: str, longest_side: int) -> Picture:
    """Return a picture as a page shows it: `folder` is left out of its path."""
    return Picture(thumbnail_uri(Path(path), longest_side), Path(path).name, path.removeprefix(folder))


def pixels_uri(pixels: NDArray[Any]) -> str:
    """Return pixels `[H, W, C]` of any kind as a `data:` URI of a JPEG."""
    return _jpeg_uri(Image.fromarray(shown(pixels)))


def data_uri(kind: str, content: bytes) -> str:
    """Return an image as a `data:` URI; `kind` is such as jpeg."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _jpeg_uri(picture: Image.Image) -> str:
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=82)
    return data_uri("jpeg", content.getvalue())
