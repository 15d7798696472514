import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imageclf.data.augmentation import plain_views
from imageclf.data.geometry import affine, light, scaled_size, shrink, warp

STAMPS = Path(__file__).parents[2] / "data" / "stamps"
MODES = ["crop", "squish", "pad"]


def noise(height, width):
    """Draw a picture in which no two places are alike."""
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(height, width):
    """Draw a picture of slow waves, as resampling likes it."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x / 17) * np.cos(y / 23), np.sin((x + y) / 29), np.cos(x / 31 - y / 19)]
    return np.rint(127.5 + 120 * np.stack(waves, axis=2)).astype(np.uint8)


def seen(picture, size, resize="crop", crop_pct=1.0, **changes):
    """Show one view of a picture, plain but for the changes."""
    views = plain_views(1)._replace(**{name: np.array([value]) for name, value in changes.items()})
    height, width = picture.shape[:2]
    scaled = scaled_size(width, height, size, resize, crop_pct)
    small = shrink(picture, *scaled)
    return warp(small, affine(small.shape[1], small.shape[0], scaled, size, views, 0), size)


def area_weights(length, pieces):
    """Return how much of each of `pieces` equal stretches each pixel covers, [pieces, length]."""
    edges = np.arange(pieces + 1) * length / pieces
    overlap = np.minimum(edges[1:, None], np.arange(1, length + 1)) - np.maximum(
        edges[:-1, None], np.arange(length)
    )
    return np.clip(overlap, 0, None) * pieces / length


def difference(one, two):
    """Return the mean distance of two pictures in steps of 255."""
    return np.abs(one.astype(float) - two.astype(float)).mean()


@pytest.mark.parametrize("resize", MODES)
@pytest.mark.parametrize("size", [1, 2, 31, 32, 97, 224])
def test_a_square_picture_at_its_own_size_is_copied(resize, size):
    picture = noise(size, size)
    np.testing.assert_array_equal(seen(picture, size, resize), picture)


@pytest.mark.parametrize("size", [31, 32])
def test_a_mirror_image_is_numpys(size):
    picture = noise(size, size)
    np.testing.assert_array_equal(seen(picture, size, mirror=True), np.fliplr(picture))


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("size", [31, 32])
def test_quarter_turns_are_numpys(turns, size):
    picture = noise(size, size)
    np.testing.assert_array_equal(seen(picture, size, turns=turns), np.rot90(picture, turns))


def test_turns_and_mirrors_show_the_eight_symmetries_of_a_square():
    picture = noise(16, 16)
    shown = {seen(picture, 16, turns=turns, mirror=m).tobytes() for turns in range(4) for m in (False, True)}
    flipped = [picture, np.fliplr(picture)]
    assert shown == {np.rot90(each, turns).tobytes() for each in flipped for turns in range(4)}


@pytest.mark.parametrize(("height", "width"), [(40, 64), (64, 40), (41, 64), (64, 41), (41, 65), (40, 41)])
def test_the_centre_crop_is_a_slice(height, width):
    picture, size = noise(height, width), min(height, width)
    top, left = (height - size + 1) // 2, (width - size + 1) // 2
    np.testing.assert_array_equal(seen(picture, size), picture[top : top + size, left : left + size])


@pytest.mark.parametrize("position", np.linspace(0, 0.999, 12))
@pytest.mark.parametrize(("height", "width"), [(40, 53), (53, 40)])
def test_a_crop_anywhere_is_a_slice(height, width, position):
    picture = noise(height, width)
    shown = seen(picture, 40, x=position, y=position)
    slices = [picture[k : k + 40] if height > width else picture[:, k : k + 40] for k in range(14)]
    assert sum(np.array_equal(shown, each) for each in slices) == 1


@pytest.mark.parametrize("axis", ["x", "y"])
def test_random_crops_reach_both_ends(axis):
    picture = noise(40, 45) if axis == "x" else noise(45, 40)
    first = picture[:40, :40]
    last = picture[-40:, -40:]
    ends = [seen(picture, 40, **{axis: position}) for position in (0, 1 - 1e-9)]
    np.testing.assert_array_equal(ends, [first, last])


def test_the_plain_crop_keeps_a_share_of_the_shorter_side():
    picture = noise(64, 80)
    shown = seen(picture, 56, crop_pct=0.875)
    np.testing.assert_array_equal(shown, picture[4:60, 12:68])


@pytest.mark.parametrize(
    ("width", "height", "size", "resize", "crop_pct", "expected"),
    [
        (400, 300, 150, "crop", 1.0, (200, 150)),
        (300, 400, 150, "crop", 1.0, (150, 200)),
        (400, 300, 224, "crop", 0.875, (341, 256)),
        (400, 300, 150, "squish", 0.875, (150, 150)),
        (400, 300, 100, "pad", 0.875, (100, 75)),
        (300, 400, 100, "pad", 1.0, (75, 100)),
        (1000, 1, 10, "pad", 1.0, (10, 1)),
        (1, 1000, 10, "crop", 1.0, (10, 10_000)),
        (10, 20, 40, "crop", 1.0, (40, 80)),
    ],
)
def test_a_picture_is_scaled_as_its_mode_says(width, height, size, resize, crop_pct, expected):
    assert scaled_size(width, height, size, resize, crop_pct) == expected


@pytest.mark.parametrize(("height", "width"), [(300, 400), (480, 320), (256, 256), (500, 130)])
def test_a_squish_is_the_mean_over_the_area_of_each_pixel(height, width):
    picture = noise(height, width)
    down, across = area_weights(height, 128), area_weights(width, 128)
    expected = np.einsum("ih,hwc,jw->ijc", down, picture.astype(float), across, optimize=True)
    np.testing.assert_allclose(seen(picture, 128, "squish"), expected, atol=1)


@pytest.mark.parametrize("resample", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC])
def test_a_squish_of_photos_is_close_to_pillows_antialiased_resize(resample):
    photos = [Image.open(path).convert("RGB") for path in sorted(STAMPS.glob("*/*.jpg"))]
    large = [photo for photo in photos if min(photo.size) >= 130]
    resized = [np.asarray(photo.resize((48, 48), resample)) for photo in large]
    differences = [
        difference(seen(np.asarray(photo), 48, "squish"), expected)
        for photo, expected in zip(large, resized, strict=True)
    ]
    assert len(differences) > 100
    assert np.mean(differences) <= 3 and max(differences) <= 5


def test_an_enlargement_is_close_to_pillows():
    picture = smooth(50, 50)
    expected = np.asarray(Image.fromarray(picture).resize((128, 128), Image.Resampling.BILINEAR))
    assert difference(seen(picture, 128, "squish"), expected) <= 3


@pytest.mark.parametrize(("height", "width"), [(24, 32), (32, 24), (23, 32), (32, 17), (8, 32), (32, 3)])
def test_a_pad_reflects_the_picture_with_its_edge(height, width):
    picture = noise(height, width)
    above, left = (32 - height) // 2, (32 - width) // 2
    pads = ((above, 32 - height - above), (left, 32 - width - left), (0, 0))
    expected = np.pad(picture, pads, mode="symmetric")
    np.testing.assert_array_equal(seen(picture, 32, "pad"), expected)


@pytest.mark.parametrize("degrees", [-10, -3, 5, 10, 30])
def test_a_rotation_is_pillows_in_the_interior(degrees):
    picture = smooth(96, 96)
    expected = Image.fromarray(picture).rotate(degrees, Image.Resampling.BILINEAR)
    shown = seen(picture, 96, angle=math.radians(degrees))
    inside = slice(24, 72)
    np.testing.assert_allclose(
        shown[inside, inside].astype(float), np.asarray(expected)[inside, inside].astype(float), atol=2
    )


def test_a_rotation_shows_no_black_corners():
    white = np.full((64, 64, 3), 255, dtype=np.uint8)
    assert seen(white, 64, angle=math.radians(30)).min() == 255


def test_a_zoom_is_pillows_enlargement_cropped_in_the_centre():
    picture = smooth(80, 80)
    expected = Image.fromarray(picture).resize((100, 100), Image.Resampling.BILINEAR).crop((10, 10, 90, 90))
    assert difference(seen(picture, 80, zoom=1.25), np.asarray(expected)) <= 1


@pytest.mark.parametrize(("x", "y"), [(0.5, 0.5), (0.3, 0.8), (0.9, 0.6)])
def test_a_picture_is_zoomed_then_rotated_then_cropped(x, y):
    picture = smooth(80, 80)
    large = Image.fromarray(picture).resize((160, 160), Image.Resampling.BILINEAR)
    left, top = round(80 * x), round(80 * y)
    crop = large.rotate(10, Image.Resampling.BILINEAR).crop((left, top, left + 80, top + 80))
    shown = seen(picture, 80, zoom=2, angle=math.radians(10), x=x, y=y)
    inside = slice(20, 60)
    assert difference(shown[inside, inside], np.asarray(crop)[inside, inside]) <= 1


@pytest.mark.parametrize("corner", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_a_zoomed_crop_shows_the_corner_it_is_placed_at(corner):
    picture = np.zeros((64, 64, 3), dtype=np.uint8)
    x, y = corner
    picture[-32 * y :][:32, -32 * x :][:, :32] = 255
    assert seen(picture, 64, zoom=2, x=x, y=y).mean() > 250


@pytest.mark.parametrize("resize", MODES)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 50), (50, 1), (3, 400)])
def test_the_smallest_and_narrowest_pictures_make_a_square(resize, height, width):
    picture = np.full((height, width, 3), 77, dtype=np.uint8)
    np.testing.assert_array_equal(seen(picture, 16, resize), np.full((16, 16, 3), 77))


def test_a_picture_is_never_enlarged_by_shrinking():
    picture = noise(20, 30)
    assert shrink(picture, 60, 40) is picture


def test_each_side_shrinks_only_where_it_is_longer():
    assert shrink(noise(20, 30), 10, 40).shape == (20, 10, 3)


def test_shrinking_by_two_takes_the_mean_of_four_pixels():
    picture = noise(20, 30)
    expected = picture.reshape(10, 2, 15, 2, 3).astype(float).mean(axis=(1, 3))
    np.testing.assert_allclose(shrink(picture, 15, 10), expected, atol=0.5)


@pytest.mark.parametrize("brightness", [-0.9, -0.05, 0.0, 0.03, 0.9])
@pytest.mark.parametrize("contrast", [0.5, 1 / 1.05, 1.0, 1.05, 1.9])
def test_lighting_is_the_formula_of_fastai(brightness, contrast):
    picture = noise(24, 32)
    fraction = picture / 255
    expected = np.clip((fraction - fraction.mean()) * contrast + fraction.mean() + brightness, 0, 1)
    np.testing.assert_allclose(light(picture, brightness, contrast), 255 * expected, atol=0.5 + 1e-9)


@pytest.mark.parametrize(("brightness", "expected"), [(0.9, 255), (-0.9, 0)])
def test_lighting_stops_at_white_and_black(brightness, expected):
    picture = np.full((4, 4, 3), 127, dtype=np.uint8)
    assert set(light(picture, brightness, 1.0).ravel()) == {expected}


def test_no_lighting_returns_the_picture_itself():
    picture = noise(4, 4)
    assert light(picture, 0.0, 1.0) is picture
