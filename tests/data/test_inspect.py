import hashlib

import numpy as np
import pytest
from PIL import Image

from imageclf.data.pictures.decode import read_picture
from imageclf.data.pictures.inspect import appearance_of, hash_pixels, inspect_picture

SIDEWAYS = 6  # EXIF: the camera was turned by 90 degrees


def smooth(height, width):
    """Draw a picture that JPEG keeps well."""
    y, x = np.mgrid[0 : 3 : height * 1j, 0 : 4 : width * 1j]
    waves = [np.sin(5 * x + y), np.cos(4 * x - 3 * y), np.sin(3 * x * y)]
    return np.rint(127.5 + 120 * np.stack(waves, axis=2)).astype(np.uint8)


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(path, pixels, mode=None, **options):
    """Write pixels in a mode and return the path as text."""
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **options)
    return str(path)


def turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def test_a_sound_picture_has_no_fault(tmp_path):
    assert inspect_picture(save(tmp_path / "a.jpg", smooth(24, 40))).fault == ""


@pytest.mark.parametrize(
    ("suffix", "format"),
    [(".jpg", "JPEG"), (".png", "PNG"), (".bmp", "BMP"), (".webp", "WEBP"), (".tif", "TIFF")],
)
def test_the_format_is_that_of_the_content(tmp_path, suffix, format):
    path = tmp_path / f"a{suffix}"
    save(path, smooth(24, 40))
    misnamed = path.rename(tmp_path / "a.gif")
    assert inspect_picture(str(misnamed)).format == format


@pytest.mark.parametrize(
    ("suffix", "mode"),
    [(".jpg", "RGB"), (".jpg", "CMYK"), (".jpg", "L"), (".png", "P"), (".png", "RGBA"), (".png", "1")],
)
def test_the_mode_is_that_of_the_file(tmp_path, suffix, mode):
    assert inspect_picture(save(tmp_path / f"a{suffix}", smooth(24, 40), mode)).mode == mode


def test_a_picture_of_16_bit_is_known_as_such(tmp_path):
    deep = (np.arange(24 * 40).reshape(24, 40) * 60).astype(np.uint16)
    assert inspect_picture(save(tmp_path / "a.png", deep)).mode == "I;16"


def test_the_size_is_in_pixels_and_bytes(tmp_path):
    path = tmp_path / "a.jpg"
    found = inspect_picture(save(path, smooth(24, 40)))
    assert (found.width, found.height, found.num_bytes) == (40, 24, len(path.read_bytes()))


def test_the_size_of_a_picture_taken_sideways_is_that_of_the_upright_one(tmp_path):
    found = inspect_picture(save(tmp_path / "a.jpg", smooth(24, 40), exif=turned(SIDEWAYS)))
    assert (found.width, found.height) == (24, 40)


def test_the_frames_of_an_animation_are_counted(tmp_path):
    frames = [Image.fromarray(noise(20, 30, seed)) for seed in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert inspect_picture(str(tmp_path / "a.gif")).frames == 3


def test_a_still_picture_has_one_frame(tmp_path):
    assert inspect_picture(save(tmp_path / "a.gif", noise(20, 30))).frames == 1


def test_the_preview_behind_a_phones_photo_is_no_frame(tmp_path):
    photo = Image.fromarray(smooth(24, 40))
    photo.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[photo.resize((20, 12))])
    found = inspect_picture(str(tmp_path / "a.jpg"))
    assert (found.format, found.frames) == ("MPO", 1)


def test_a_picture_cut_short_is_broken_and_keeps_what_its_header_says(tmp_path):
    path = tmp_path / "a.jpg"
    save(path, noise(64, 80))
    path.write_bytes(path.read_bytes()[:2000])
    found = inspect_picture(str(path))
    assert "truncated" in found.fault
    assert found[:5] == (80, 64, 2000, "JPEG", "RGB")


@pytest.mark.parametrize(
    ("content", "fault"), [(b"", "the file is empty"), (b"just some words", "not a picture")]
)
def test_a_file_that_is_no_picture_says_so(tmp_path, content, fault):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    assert inspect_picture(str(path)) == (0, 0, len(content), "", "", 0, fault, b"", b"")


def test_a_file_that_has_gone_is_broken(tmp_path):
    found = inspect_picture(str(tmp_path / "gone.jpg"))
    assert (found.fault, found.num_bytes) == ("there is no such file", 0)


@pytest.mark.parametrize(("suffix", "options"), [(".bmp", {}), (".tif", {}), (".webp", {"lossless": True})])
def test_the_same_picture_in_another_format_has_the_same_pixels(tmp_path, suffix, options):
    one = inspect_picture(save(tmp_path / "a.png", smooth(24, 40)))
    other = inspect_picture(save(tmp_path / f"b{suffix}", smooth(24, 40), **options))
    assert one.pixels == other.pixels != b""


def test_the_same_picture_with_other_metadata_has_the_same_pixels(tmp_path):
    plain = inspect_picture(save(tmp_path / "a.jpg", smooth(24, 40)))
    noted = inspect_picture(save(tmp_path / "b.jpg", smooth(24, 40), comment=b"by me", dpi=(300, 300)))
    assert plain.num_bytes != noted.num_bytes
    assert plain.pixels == noted.pixels


def test_a_picture_stored_sideways_has_the_pixels_of_the_upright_one(tmp_path):
    upright = inspect_picture(save(tmp_path / "a.png", smooth(24, 40)))
    stored = np.ascontiguousarray(np.rot90(smooth(24, 40)))
    assert inspect_picture(save(tmp_path / "b.png", stored, exif=turned(SIDEWAYS))).pixels == upright.pixels


def test_one_grey_level_makes_another_picture():
    changed = smooth(24, 40)
    changed[5, 7, 1] ^= 1
    assert hash_pixels(changed) != hash_pixels(smooth(24, 40))


def test_the_same_values_in_another_shape_are_another_picture():
    values = noise(6, 10)
    assert hash_pixels(values) != hash_pixels(values.reshape(10, 6, 3))


def test_the_hash_of_pixels_is_a_known_function(tmp_path):
    pixels = read_picture(save(tmp_path / "a.png", noise(5, 4)))
    assert hash_pixels(pixels) == hashlib.blake2b(b"(5, 4, 3)" + pixels.tobytes(), digest_size=16).digest()


def distance(one, other):
    first, second = (np.frombuffer(look, dtype=np.float16).astype(float) for look in (one, other))
    return np.linalg.norm(first - second)


def test_a_look_is_256_numbers_with_mean_0_and_length_1():
    look = np.frombuffer(appearance_of(smooth(240, 320)), dtype=np.float16).astype(float)
    assert look.shape == (256,)
    assert (look.mean(), np.linalg.norm(look)) == (pytest.approx(0, abs=1e-3), pytest.approx(1, abs=1e-3))


def test_brightness_and_contrast_leave_the_look():
    darker = (smooth(240, 320) // 2 + 10).astype(np.uint8)
    assert distance(appearance_of(darker), appearance_of(smooth(240, 320))) < 0.02


@pytest.mark.parametrize("quality", [50, 75, 95])
def test_a_picture_saved_anew_looks_the_same(tmp_path, quality):
    one = inspect_picture(save(tmp_path / "a.png", smooth(240, 320)))
    other = inspect_picture(save(tmp_path / "a.jpg", smooth(240, 320), quality=quality))
    assert one.pixels != other.pixels
    assert distance(one.appearance, other.appearance) < 0.02


def test_a_picture_of_half_the_size_looks_the_same():
    half = np.asarray(Image.fromarray(smooth(480, 640)).resize((320, 240)))
    assert distance(appearance_of(half), appearance_of(smooth(480, 640))) < 0.02


def test_a_mirror_image_looks_different():
    assert appearance_of(smooth(240, 320)[:, ::-1].copy()) != appearance_of(smooth(240, 320))


def test_different_pictures_look_different():
    assert len({appearance_of(noise(60, 80, seed)) for seed in range(50)}) == 50


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_picture_with_nothing_in_it_has_no_look(level):
    assert appearance_of(np.full((60, 80, 3), level, dtype=np.uint8)) == b""


def test_a_picture_of_one_pixel_is_a_picture(tmp_path):
    found = inspect_picture(save(tmp_path / "a.png", noise(1, 1)))
    assert (found.width, found.height, found.fault, found.appearance) == (1, 1, "", b"")
