"""Views: which part of a picture they show, and that they show it without loss where nothing is resampled."""

import math

import numpy as np
import pytest
from PIL import Image
from presets import STAMPS, difference, map_of, noise, seen, smooth

from imageclf.data.views.augmentation import plain_views
from imageclf.data.views.geometry import maps, scaled_sizes, shrink

MODES = ["crop", "squish", "pad"]


@pytest.mark.parametrize("resize", [*MODES, "random_resized_crop"])
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
        (400, 300, 224, "crop", 0.875, (256 * 4 / 3, 256)),
        (400, 300, 150, "squish", 0.875, (150, 150)),
        (400, 300, 100, "pad", 0.875, (100, 75)),
        (300, 400, 100, "pad", 1.0, (75, 100)),
        (1000, 1, 10, "pad", 1.0, (10, 0.01)),
        (1, 1000, 10, "crop", 1.0, (10, 10_000)),
        (10, 20, 40, "crop", 1.0, (40, 80)),
    ],
)
def test_a_picture_is_scaled_as_its_mode_says(width, height, size, resize, crop_pct, expected):
    shapes = np.array([[width, height]], dtype=float)
    found = scaled_sizes(shapes, size, resize, np.array([crop_pct]))
    assert found.tolist() == [pytest.approx(list(expected))]


def test_the_scale_of_a_picture_is_that_of_its_row():
    shapes, shares = np.array([[400.0, 300], [300, 400]]), np.array([1.0, 0.5])
    assert scaled_sizes(shapes, 150, "crop", shares).tolist() == [[200, 150], [300, 400]]


@pytest.fixture(scope="module")
def photos():
    """Open the stamps that are large enough to be shrunk to 48 pixels by more than 2.7."""
    stamps = [Image.open(path).convert("RGB") for path in sorted(STAMPS.glob("*/*.jpg"))]
    return [photo for photo in stamps if min(photo.size) >= 130]


@pytest.mark.parametrize("resample", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC])
def test_a_squish_of_photos_is_close_to_pillows_antialiased_resize(photos, resample):
    differences = [
        difference(seen(np.asarray(photo), 48, "squish"), np.asarray(photo.resize((48, 48), resample)))
        for photo in photos
    ]
    assert len(differences) > 100
    assert np.mean(differences) <= 3


@pytest.mark.parametrize("resample", [Image.Resampling.BILINEAR, Image.Resampling.BICUBIC])
def test_shrinking_alone_is_close_to_pillows_antialiased_resize_for_every_photo(photos, resample):
    differences = [
        difference(shrink(np.asarray(photo), 48, 48), np.asarray(photo.resize((48, 48), resample)))
        for photo in photos
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


@pytest.mark.parametrize("changes", [{"angle": math.radians(30)}, {"warp_x": 0.2}, {"warp_y": -0.2}])
def test_what_lies_outside_is_never_black(changes):
    white = np.full((64, 64, 3), 255, dtype=np.uint8)
    assert seen(white, 64, **changes).min() == 255


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


@pytest.mark.parametrize("resize", [*MODES, "random_resized_crop"])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 50), (50, 1), (3, 400)])
def test_the_smallest_and_narrowest_pictures_make_a_square(resize, height, width):
    picture = np.full((height, width, 3), 77, dtype=np.uint8)
    np.testing.assert_array_equal(seen(picture, 16, resize), np.full((16, 16, 3), 77))


@pytest.mark.parametrize("resize", [*MODES, "random_resized_crop"])
def test_a_batch_has_the_maps_of_its_pictures_alone(resize):
    generator = np.random.default_rng(0)
    views = plain_views(6)._replace(
        angle=generator.uniform(-1, 1, 6),
        zoom=generator.uniform(1, 2, 6),
        warp_x=generator.uniform(-0.2, 0.2, 6) * [0, 1, 0, 1, 1, 0],
        warp_y=generator.uniform(-0.2, 0.2, 6) * [0, 0, 1, 1, 0, 1],
        mirror=generator.random(6) < 0.5,
        turns=generator.integers(0, 4, 6),
        x=generator.random(6),
        y=generator.random(6),
        crops=generator.uniform(0.5, 1, (6, 11, 2)),
    )
    shapes, shares = generator.integers(20, 300, (6, 2)).astype(float), generator.uniform(0.8, 1, 6)
    together = maps(shapes, 64, resize, views, shares)
    for index, (width, height) in enumerate(shapes):
        changes = {name: part[index] for name, part in views._asdict().items()}
        alone = map_of(width, height, 64, resize, shares[index], **changes)
        np.testing.assert_allclose(together[index], alone, rtol=1e-9, atol=1e-9)
