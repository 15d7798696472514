"""Resampling of many pictures at once, against OpenCV's of one and against pictures that are padded."""

import cv2
import numpy as np
import pytest
import torch
from presets import noise
from resample_cases import CASES, SHAPES, far_behind

from imageclf.data.views.geometry import warp
from imageclf.data.views.lighting import light
from imageclf.data.views.resample import resample
from imageclf.schedule.size import edges

NO_CHANGE = torch.arange(256, dtype=torch.uint8)[None]
# OpenCV 4 rounds places to 1/32 of a pixel, which in noise is up to two steps; 5 does not.
EXACT = int(cv2.__version__.partition(".")[0]) >= 5
LIMIT = 0.05 if EXACT else 2.5


def of_opencv(case):
    """Return what OpenCV makes of a case, picture by picture."""
    results = np.empty((len(SHAPES), *edges(case.size), case.channels), dtype=np.uint8)
    for result, (offset, width, height), to_picture, table in zip(
        results, case.places.tolist(), case.maps.numpy(), case.tables.numpy(), strict=True
    ):
        pixels = case.pixels[offset : offset + case.channels * width * height].numpy()
        warp(
            pixels.reshape(height, width, case.channels), to_picture.astype(np.float64).reshape(3, 3), result
        )
        light(result, table)
    return results


def shown(picture, to_picture, size):
    """Return one view of a picture without lighting."""
    place = torch.tensor([[0, picture.shape[1], picture.shape[0]]])
    maps = torch.tensor([to_picture], dtype=torch.float32)
    return resample(torch.from_numpy(picture).flatten(), place, maps, NO_CHANGE, size)[0].numpy()


def apart(one, two):
    """Return the mean distance of two pictures, where lighting was none or the same."""
    return np.abs(one.astype(float) - two.astype(float)).mean()


@pytest.mark.parametrize("name", CASES)
def test_views_are_those_of_opencv(name):
    # Without the tables: drawn at random, they make anything of a difference of one.
    case = CASES[name]._replace(tables=NO_CHANGE.expand(len(SHAPES), 256).contiguous())
    assert apart(resample(*case).numpy(), of_opencv(case)) <= LIMIT


@pytest.mark.parametrize(
    "name", ["as it is", pytest.param("half a pixel aside", marks=pytest.mark.skipif(not EXACT, reason="4"))]
)
def test_where_places_are_exact_views_are_those_of_opencv_bit_for_bit(name):
    np.testing.assert_array_equal(resample(*CASES[name]).numpy(), of_opencv(CASES[name]))


@pytest.mark.parametrize(("x", "y"), [(-5, -3), (20, 11), (-100, 60), (173, -211), (4000, 4001)])
def test_what_lies_outside_is_reflected_however_far_it_is(x, y):
    picture, size = noise(9, 13), 7
    padding = [(4100 * (y < 0) or 0, 4100), (4100 * (x < 0) or 0, 4100), (0, 0)]
    # Of one row and one column, so that the padded picture stays small.
    columns = np.pad(picture, [(0, 0), padding[1], (0, 0)], mode="symmetric")[:, x + padding[1][0] :][
        :, :size
    ]
    expected = np.pad(columns, [padding[0], (0, 0), (0, 0)], mode="symmetric")[y + padding[0][0] :][:size]
    np.testing.assert_array_equal(shown(picture, [1, 0, x, 0, 1, y, 0, 0, 1], size), expected)


@pytest.mark.parametrize(
    ("to_picture", "expected"),
    [
        ([-1, 0, 11, 0, 1, 0, 0, 0, 1], lambda picture: picture[:, ::-1]),
        ([0, 1, 0, -1, 0, 11, 0, 0, 1], lambda picture: np.rot90(picture, -1)),
        ([2, 0, 2, 0, 2, 0, 0, 0, 2], lambda picture: np.roll(picture, -1, axis=1)),
    ],
    ids=["mirrored", "turned", "in depth"],
)
def test_mirrored_and_turned_pictures_are_copies(to_picture, expected):
    picture = noise(12, 12)
    # What is moved in from outside is not compared.
    result, wanted = shown(picture, to_picture, 12)[:, :-1], expected(picture)[:, :-1]
    np.testing.assert_array_equal(result, wanted)


def test_of_two_whole_numbers_as_near_the_even_one_is_taken():
    picture = np.zeros((1, 5, 3), dtype=np.uint8)
    picture[0, :, 0] = [0, 1, 2, 3, 4]
    assert shown(picture, [1, 0, 0.5, 0, 0, 0, 0, 0, 1], 4)[0, :, 0].tolist() == [0, 2, 2, 4]


def test_places_of_pictures_a_few_thousand_pixels_wide_are_exact_to_a_thousandth():
    width = 4000
    ramp = np.zeros((1, width, 3), dtype=np.uint8)
    # Rises by 255 within the last pixel: a step of 255 is a place that is off by 1/255.
    ramp[0, -1] = 255
    result = shown(ramp, [0.001, 0, width - 2, 0, 0, 0, 0, 0, 1], 1000)[0, :, 0].astype(float)
    np.testing.assert_allclose(result, 255 * 0.001 * np.arange(1000), atol=0.5 + 255 * 5e-4)


def test_pictures_behind_two_gigabytes_are_found(tmp_path):
    assert torch.equal(resample(*far_behind(tmp_path / "large.bin")), resample(*CASES["turned"]))
