import base64
import io

import numpy as np
import pytest
from PIL import Image

from imageclf.report.thumbnails import thumbnail_uri


def decoded(address):
    kind, content = address.split(",")
    assert kind == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


def test_the_longest_side_is_bounded(tmp_path):
    Image.new("RGB", (1000, 500)).save(tmp_path / "a.jpg")
    assert decoded(thumbnail_uri(tmp_path / "a.jpg")).size == (224, 112)


def test_a_small_picture_is_not_enlarged(tmp_path):
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    assert decoded(thumbnail_uri(tmp_path / "a.png")).size == (30, 20)


def test_a_picture_is_turned_as_exif_says(tmp_path):
    picture = Image.new("RGB", (40, 20))
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "a.jpg", exif=exif)
    assert decoded(thumbnail_uri(tmp_path / "a.jpg")).size == (20, 40)


def test_transparency_becomes_white(tmp_path):
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "a.png")
    assert min(decoded(thumbnail_uri(tmp_path / "a.png")).getpixel((4, 4))) > 250


@pytest.mark.parametrize("mode", ["L", "CMYK", "P", "1"])
def test_any_colour_mode_becomes_rgb(tmp_path, mode):
    Image.new(mode, (8, 8)).save(tmp_path / "a.tiff")
    assert decoded(thumbnail_uri(tmp_path / "a.tiff")).mode == "RGB"


def test_16_bits_are_scaled_not_clipped(tmp_path):
    Image.fromarray(np.full((8, 8), 32768, dtype=np.uint16)).save(tmp_path / "a.png")
    assert abs(decoded(thumbnail_uri(tmp_path / "a.png")).getpixel((4, 4))[0] - 128) < 3


def test_a_damaged_picture_has_no_thumbnail(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    assert thumbnail_uri(tmp_path / "a.jpg") is None


def test_a_missing_picture_has_no_thumbnail(tmp_path):
    assert thumbnail_uri(tmp_path / "a.jpg") is None
