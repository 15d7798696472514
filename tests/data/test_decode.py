import math
import re
import struct
import time
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from imageclf import InputError
from imageclf.data.pictures.decode import MAX_PIXELS, read_picture

# How a camera stores an upright picture that it notes an orientation for.
STORED = {
    1: lambda upright: upright,
    2: np.fliplr,
    3: lambda upright: np.rot90(upright, 2),
    4: np.flipud,
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: np.rot90(upright, 2).transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}
LOSSLESS = {".png": {}, ".tif": {}, ".webp": {"lossless": True}}
GREY = np.arange(256, dtype=np.uint8).reshape(16, 16)
ALPHA = GREY.T.copy()


def smooth(height, width):
    """Draw a picture that JPEG keeps well and that differs in all of its corners."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    return np.rint(255 * np.stack([x, y, (x + 2 * y) / 3], axis=2)).astype(np.uint8)


def saved(path, image, **options):
    """Write a picture and return its path."""
    image.save(path, **options)
    return path


def rgb(grey):
    """Return grey values as the three equal channels that a reader is to see."""
    return np.repeat(np.asarray(grey)[:, :, None], 3, axis=2)


def on_white(colour, alpha):
    """Mix a picture with white by its alpha."""
    share = alpha[:, :, None] / 255
    return colour * share + 255 * (1 - share)


def oriented(orientation):
    """Return EXIF data that holds an orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("suffix", LOSSLESS)
@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.fault(
    "Pictures",
    "A camera was held sideways (EXIF orientation)",
    "The picture is turned upright, in caches too",
)
def test_a_picture_is_upright_however_the_camera_was_held(tmp_path, orientation, suffix):
    upright = smooth(24, 40)
    image = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    path = saved(tmp_path / f"p{suffix}", image, exif=oriented(orientation), **LOSSLESS[suffix])
    np.testing.assert_array_equal(read_picture(path), upright)


@pytest.mark.parametrize("at_least", [None, 64])
@pytest.mark.parametrize("orientation", STORED)
def test_a_jpeg_is_upright_also_when_it_is_decoded_small(tmp_path, orientation, at_least):
    upright = smooth(256, 512)
    image = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    shown = read_picture(saved(tmp_path / "p.jpg", image, exif=oriented(orientation)), at_least)
    step = 256 // len(shown)
    np.testing.assert_allclose(shown, upright[step // 2 :: step, step // 2 :: step].astype(float), atol=8)


@pytest.mark.parametrize("orientation", [0, 9, 1000])
def test_an_orientation_that_does_not_exist_is_none(tmp_path, orientation):
    upright = smooth(8, 12)
    path = saved(tmp_path / "p.png", Image.fromarray(upright), exif=oriented(orientation))
    np.testing.assert_array_equal(read_picture(path), upright)


def test_a_picture_is_upright_though_another_tag_of_its_camera_is_odd(tmp_path):
    entries = [struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0), struct.pack("<HHI4s", 0x011A, 2, 4, b"abc\0")]
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + bytes(4)
    path = saved(tmp_path / "p.jpg", Image.fromarray(smooth(24, 40)), exif=exif)
    assert read_picture(path).shape == (40, 24, 3)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".ppm", ".webp"])
def test_a_colour_picture_keeps_its_pixels(tmp_path, suffix):
    pixels = smooth(9, 13)
    path = saved(tmp_path / f"p{suffix}", Image.fromarray(pixels), **LOSSLESS.get(suffix, {}))
    np.testing.assert_array_equal(read_picture(path), pixels)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp", ".pgm", ".gif"])
def test_a_grey_picture_has_three_equal_channels(tmp_path, suffix):
    np.testing.assert_array_equal(
        read_picture(saved(tmp_path / f"p{suffix}", Image.fromarray(GREY))), rgb(GREY)
    )


def test_a_grey_jpeg_has_three_equal_channels(tmp_path):
    shown = read_picture(saved(tmp_path / "p.jpg", Image.fromarray(GREY), quality=95))
    np.testing.assert_allclose(shown, rgb(GREY).astype(float), atol=6)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".bmp"])
def test_a_picture_of_one_bit_is_black_and_white(tmp_path, suffix):
    bits = GREY % 3 == 0
    path = saved(tmp_path / f"p{suffix}", Image.fromarray(bits))
    np.testing.assert_array_equal(read_picture(path), rgb(255 * bits))


def test_a_palette_picture_has_the_colours_of_its_palette(tmp_path):
    image = Image.fromarray(GREY % 4).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 200, 210, 220])
    palette = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90], [200, 210, 220]])
    np.testing.assert_array_equal(read_picture(saved(tmp_path / "p.png", image)), palette[GREY % 4])


@pytest.mark.parametrize(("suffix", "transparency"), [(".png", 2), (".png", b"\xff\xff\x00"), (".gif", 2)])
def test_a_transparent_palette_colour_is_white(tmp_path, suffix, transparency):
    image = Image.fromarray(GREY % 4).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 200, 210, 220])
    seen = np.array([[10, 20, 30], [40, 50, 60], [255, 255, 255], [200, 210, 220]])
    path = saved(tmp_path / f"p{suffix}", image, transparency=transparency)
    np.testing.assert_array_equal(read_picture(path), seen[GREY % 4])


def test_a_half_transparent_palette_colour_is_half_white(tmp_path):
    image = Image.fromarray(GREY % 2).convert("P")
    image.putpalette([0, 0, 0, 100, 100, 100])
    path = saved(tmp_path / "p.png", image, transparency=b"\x80\xff")
    np.testing.assert_array_equal(read_picture(path), rgb(np.where(GREY % 2, 100, 127)))


@pytest.mark.parametrize(("mode", "key", "hidden"), [("L", 7, [7, 7, 7]), ("RGB", (3, 3, 3), [3, 3, 3])])
def test_a_colour_that_stands_for_transparent_is_white(tmp_path, mode, key, hidden):
    path = saved(tmp_path / "p.png", Image.fromarray(GREY).convert(mode), transparency=key)
    expected = np.where((rgb(GREY) == hidden).all(axis=2, keepdims=True), 255, rgb(GREY))
    np.testing.assert_array_equal(read_picture(path), expected)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
@pytest.mark.fault("Pictures", "A picture has transparent parts", "They are laid on white")
def test_alpha_is_mixed_with_white(tmp_path, suffix):
    pixels = smooth(16, 16)
    image = Image.fromarray(np.dstack([pixels, ALPHA]))
    # Exact keeps what lies under full transparency, as the others do anyway.
    options = {"lossless": True, "exact": True} if suffix == ".webp" else {}
    shown = read_picture(saved(tmp_path / f"p{suffix}", image, **options))
    np.testing.assert_allclose(shown, on_white(pixels, ALPHA), atol=1)


def test_grey_with_alpha_is_mixed_with_white(tmp_path):
    image = Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(ALPHA)])
    shown = read_picture(saved(tmp_path / "p.png", image))
    np.testing.assert_allclose(shown, on_white(rgb(GREY), ALPHA), atol=1)


@pytest.mark.fault("Pictures", "Colours hide under full transparency", "They do not show")
def test_what_is_hidden_under_full_transparency_does_not_show(tmp_path):
    pixels = np.zeros((8, 8, 4), dtype=np.uint8)
    pixels[..., 0] = 200
    assert set(read_picture(saved(tmp_path / "p.png", Image.fromarray(pixels))).ravel()) == {255}


def test_cmyk_is_converted_by_the_formula(tmp_path):
    inks = np.random.default_rng(0).integers(0, 256, (8, 8, 4), dtype=np.uint8)
    path = saved(tmp_path / "p.tif", Image.fromarray(inks, mode="CMYK"))
    white = 255 - inks.astype(float)
    np.testing.assert_allclose(read_picture(path), white[..., :3] * white[..., 3:] / 255, atol=1)


@pytest.mark.fault(
    "Pictures", "A JPEG is in CMYK, for print", "Its colours are converted; Adobe's inverted ones too"
)
def test_a_cmyk_jpeg_is_not_a_negative(tmp_path):
    pixels = smooth(64, 64)
    path = saved(tmp_path / "p.jpg", Image.fromarray(pixels).convert("CMYK"), quality=95)
    np.testing.assert_allclose(read_picture(path), pixels.astype(float), atol=10)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.fault(
    "Pictures",
    "A picture among others has 16 bits per channel",
    "It is scaled to 8 bits by the range of its mode, not clipped to white",
)
def test_16_bits_are_scaled_to_8(tmp_path, suffix):
    deep = (np.arange(4096, dtype=np.uint16) * 16).reshape(64, 64)
    path = saved(tmp_path / f"p{suffix}", Image.fromarray(deep))
    np.testing.assert_allclose(read_picture(path), rgb(deep / 257), atol=0.5 + 1e-9)


@pytest.mark.parametrize(("top", "unit"), [(65535, 257), (255, 1)])
def test_32_bit_integers_are_scaled_by_the_range_they_use(tmp_path, top, unit):
    deep = np.linspace(0, top, 64, dtype=np.int32).reshape(8, 8)
    path = saved(tmp_path / "p.tif", Image.fromarray(deep))
    np.testing.assert_allclose(read_picture(path), rgb(deep / unit), atol=0.5 + 1e-9)


@pytest.mark.parametrize(("top", "unit"), [(1.0, 255), (255.0, 1), (65535.0, 1 / 257)])
@pytest.mark.fault("Pictures", "A picture holds floats", "It is scaled by the range that it uses")
def test_floats_are_scaled_by_the_range_they_use(tmp_path, top, unit):
    deep = np.linspace(0, top, 64, dtype=np.float32).reshape(8, 8)
    path = saved(tmp_path / "p.tif", Image.fromarray(deep))
    np.testing.assert_allclose(read_picture(path), rgb(deep * unit), atol=0.51)


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (-1024, 3071), (0, 1e6)])
def test_values_that_no_picture_has_are_refused_instead_of_clipped(tmp_path, low, high):
    path = saved(tmp_path / "p.tif", Image.fromarray(np.array([[low, high]], dtype=np.float32)))
    with pytest.raises(InputError, match=rf"p\.tif: its values run from {low:g} to .*: scale them$"):
        read_picture(path)


@pytest.mark.parametrize("hole", [math.nan, math.inf, -math.inf])
def test_a_float_that_is_no_number_is_black_and_leaves_the_others_as_they_are(tmp_path, hole):
    deep = np.full((4, 4), 0.6, dtype=np.float32)
    deep[0, 0] = hole
    shown = read_picture(saved(tmp_path / "p.tif", Image.fromarray(deep)))
    np.testing.assert_array_equal(shown, rgb(np.where(deep == np.float32(0.6), 153, 0)))


@pytest.mark.fault(
    "Pictures", "A file has several frames", "The first one is taken, and `imageclf-analyse` lists the file"
)
def test_an_animation_is_its_first_frame(tmp_path):
    frames = [Image.fromarray(np.full((8, 8), value, dtype=np.uint8)) for value in (10, 90, 200)]
    path = saved(tmp_path / "p.gif", frames[0], save_all=True, append_images=frames[1:])
    assert set(read_picture(path).ravel()) == {10}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".gif", ".tif", ".webp", ".bmp", ".ppm"])
@pytest.mark.fault(
    "Pictures",
    "A picture is cut off in the middle",
    "It is named before training; `data.on_error=skip` leaves it out",
)
def test_half_a_file_is_refused_by_its_name(tmp_path, suffix):
    path = saved(tmp_path / f"half{suffix}", Image.fromarray(smooth(64, 64)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(InputError, match=rf"^{re.escape(str(path))}: ."):
        read_picture(path)


@pytest.mark.parametrize("at_least", [None, 16])
@pytest.mark.fault(
    "Pictures",
    "A JPEG lacks only its last bytes",
    "It is named before training: every picture is decoded whole, once",
)
def test_a_jpeg_that_lacks_its_last_bytes_is_refused(tmp_path, at_least):
    path = saved(tmp_path / "p.jpg", Image.fromarray(smooth(256, 256)))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"p\.jpg: image file is truncated"):
        read_picture(path, at_least)


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html>404</html>", b"\0" * 1000, b"\xff\xd8\xff"])
@pytest.mark.fault(
    "Pictures", "An empty file, or a web page, is called `.jpg`", "It is named before training"
)
def test_what_is_no_picture_is_refused_by_its_name(tmp_path, content):
    path = tmp_path / "cat.jpg"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"^{re.escape(str(path))}: not a picture$"):
        read_picture(path)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("IMG_1.HEIC", "convert .heic to .jpg or .png, which are read"),
        ("bands.tif", "save the bands or floats"),
    ],
)
def test_a_format_that_is_not_read_is_named_with_the_remedy(tmp_path, name, remedy):
    (tmp_path / name).write_bytes(b"\0\0\0\x18ftypheic")
    with pytest.raises(InputError, match=rf"{name}: not a picture that is read; {remedy}"):
        read_picture(tmp_path / name)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"gone\.jpg: there is no such file$"):
        read_picture(tmp_path / "gone.jpg")


def test_a_folder_named_like_a_picture_is_refused(tmp_path):
    (tmp_path / "cat.jpg").mkdir()
    with pytest.raises(InputError, match=r"cat\.jpg: "):
        read_picture(tmp_path / "cat.jpg")


def chunk(kind, content):
    """Return a chunk of a PNG file."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@pytest.mark.parametrize(("width", "height"), [(10_000, 10_000), (20_000, 20_000), (2**31 - 1, 1)])
@pytest.mark.fault(
    "Pictures",
    "A small file claims 400 million pixels",
    "It is refused by its header, before it takes memory",
)
def test_a_bomb_is_refused_before_it_is_decoded(tmp_path, width, height):
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    start = time.perf_counter()
    with pytest.raises(InputError, match=r"bomb\.png: .*pixels"):
        read_picture(path)
    assert time.perf_counter() - start < 1


def test_the_limit_holds_where_pillow_would_only_warn(tmp_path):
    path = saved(tmp_path / "large.png", Image.new("1", (10_000, 10_000)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(InputError, match=r"large\.png: 10000 x 10000 is more than 89,478,485 pixels"):
            read_picture(path)


def test_the_limit_is_above_what_cameras_take():
    assert MAX_PIXELS > 9504 * 6336


@pytest.mark.parametrize("at_least", [40, 100, 128, 200, 256])
def test_a_jpeg_decoded_small_still_has_the_pixels_that_are_asked_for(tmp_path, at_least):
    path = saved(tmp_path / "p.jpg", Image.fromarray(smooth(600, 1000)))
    height, width = read_picture(path, at_least).shape[:2]
    assert at_least <= height < 600 and at_least <= width < 1000


@pytest.mark.parametrize("at_least", [1, 32, 100])
def test_a_jpeg_decoded_small_looks_like_the_whole_one_resized(tmp_path, at_least):
    path = saved(tmp_path / "p.jpg", Image.fromarray(smooth(600, 1000)))
    small = read_picture(path, at_least)
    whole = Image.fromarray(read_picture(path)).resize(small.shape[1::-1], Image.Resampling.BOX)
    assert np.abs(small.astype(float) - np.asarray(whole)).mean() <= 2


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_picture_smaller_than_asked_for_is_decoded_whole(tmp_path, suffix):
    path = saved(tmp_path / f"p{suffix}", Image.fromarray(smooth(60, 100)))
    assert read_picture(path, at_least=500).shape == (60, 100, 3)
