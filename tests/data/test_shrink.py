"""Pictures are shrunk once, without aliasing, to a size that all views are made from."""

import numpy as np
import pytest
from PIL import Image
from presets import noise, smooth

from imageclf.data.views.geometry import shrink, stored_side, stored_size


@pytest.mark.parametrize(("height", "width"), [(300, 400), (480, 320), (256, 256), (500, 130)])
@pytest.mark.parametrize(("down", "across"), [(128, 128), (64, 120), (99, 101), (300, 90), (90, 130)])
@pytest.mark.parametrize("draw", [noise, smooth])
def test_shrinking_is_pillows_antialiased_bicubic(draw, height, width, down, across):
    down, across = min(down, height), min(across, width)
    # Far from black and white: which direction comes first shows where values are clipped in between.
    picture = draw(height, width) // 2 + 64
    expected = Image.fromarray(picture).resize((across, down), Image.Resampling.BICUBIC)
    apart = np.abs(shrink(picture, across, down).astype(int) - np.asarray(expected))
    assert apart.max() <= 2 and (apart > 1).mean() < 1e-3


@pytest.mark.parametrize(("across", "down"), [(100, 80), (40, 80), (100, 30), (33, 27)])
def test_a_plain_area_keeps_its_colour(across, down):
    picture = np.full((80, 100, 3), [3, 130, 255], dtype=np.uint8)
    np.testing.assert_array_equal(shrink(picture, across, down), picture[:down, :across])


def test_detail_too_fine_to_be_shown_becomes_its_mean():
    picture = np.indices((120, 120)).sum(axis=0)[..., None].repeat(3, axis=2) % 2 * np.uint8(255)
    shown = shrink(picture.astype(np.uint8), 30, 30)
    assert np.abs(shown.astype(float) - 127.5).max() < 3


def test_the_file_of_a_picture_is_not_written_to():
    picture = noise(20, 30)
    picture.flags.writeable = False
    before = picture.copy()
    shrink(picture, 10, 10)
    np.testing.assert_array_equal(picture, before)


def test_a_picture_of_its_size_is_not_copied():
    picture = noise(20, 30)
    assert shrink(picture, 30, 20) is picture


@pytest.mark.parametrize(
    ("size", "resize", "max_zoom", "crop_pct", "expected"),
    [
        (224, "crop", 1.0, 1.0, 280),
        (224, "squish", 1.1, 0.875, 280),
        (224, "pad", 1.1, 1.0, 280),
        (200, "crop", 1.5, 1.0, 300),
        (200, "crop", 1.1, 0.5, 400),
        (224, "random_resized_crop", 1.0, 1.0, 448),
        (32, "crop", 1.1, 1.0, 64),
        (64, "crop", 1.0, 1.0, 96),
        (32, "random_resized_crop", 1.0, 1.0, 64),
        (16, "random_resized_crop", 1.0, 1.0, 48),
    ],
)
def test_pictures_keep_a_quarter_more_than_a_view_shows_or_what_its_zoom_needs(
    size, resize, max_zoom, crop_pct, expected
):
    assert stored_side(size, resize, max_zoom, crop_pct) == expected


@pytest.mark.parametrize(
    ("width", "height", "resize", "expected"),
    [
        (400, 300, "crop", (133, 100)),
        (300, 400, "crop", (100, 133)),
        (400, 300, "random_resized_crop", (133, 100)),
        (400, 300, "pad", (100, 75)),
        (400, 300, "squish", (100, 100)),
        (400, 80, "squish", (100, 80)),
        (400, 80, "crop", (400, 80)),
        (60, 80, "pad", (60, 80)),
        (10_000, 1, "pad", (100, 1)),
    ],
)
def test_the_side_that_counts_shrinks_to_its_length_and_none_grows(width, height, resize, expected):
    assert stored_size(width, height, 100, resize) == expected
