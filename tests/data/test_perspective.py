"""The change of perspective, against fastai 2's own coordinates and against its four corners."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from presets import difference, map_of, seen, smooth

WARPS = [(0.2, 0.0), (0.0, 0.2), (-0.2, 0.1), (0.13, -0.2), (0.2, 0.2), (0.0, 0.0)]


def through(to_picture, points):
    """Map points [N, 2]."""
    mapped = np.c_[points, np.ones(len(points))] @ to_picture.T
    return mapped[:, :2] / mapped[:, 2:]


def grid(size):
    """Return the centres of all pixels (x, y), [size * size, 2]."""
    y, x = np.mgrid[:size, :size]
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(float)


def in_halves(points, width, height):
    """Return pixels as fractions of half a side from the centre of a picture."""
    return (points + 0.5) / np.array([width / 2, height / 2]) - 1


def fastais(warp, halves):
    """Return where fastai 2 looks in the picture, for points of the view."""
    augment = pytest.importorskip("fastai.vision.augment")
    change = augment._WarpCoord(p=1.0, draw_x=warp[0], draw_y=warp[1])
    change.before_call(torch.zeros(1, dtype=torch.float64))
    return change(torch.from_numpy(halves)[None].clone())[0].numpy()


@pytest.mark.parametrize("warp", WARPS)
@pytest.mark.parametrize(("width", "height"), [(64, 64), (200, 90)])
def test_a_squished_picture_is_warped_as_fastai_2_does(warp, width, height):
    points = grid(64)
    ours = through(map_of(width, height, 64, "squish", warp_x=warp[0], warp_y=warp[1]), points)
    expected = fastais(warp, in_halves(points, 64, 64))
    np.testing.assert_allclose(in_halves(ours, width, height), expected, atol=1e-6)


@pytest.mark.parametrize("warp", WARPS)
def test_a_crop_is_warped_about_its_own_centre_by_its_own_sides(warp):
    points = grid(50)
    ours = through(map_of(120, 80, 50, "crop", warp_x=warp[0], warp_y=warp[1], x=1.0), points)
    # The crop is the rightmost 80 of the 120 columns.
    expected = fastais(warp, in_halves(points, 50, 50)) * 40 + [80, 40]
    np.testing.assert_allclose(ours + 0.5, expected, atol=1e-4)


@pytest.mark.parametrize("warp", WARPS)
@pytest.mark.parametrize("degrees", [-10, 7])
def test_a_view_is_rotated_before_it_is_warped_as_fastai_2_looks_it_up(warp, degrees):
    points = grid(64)
    changes = {"warp_x": warp[0], "warp_y": warp[1], "angle": math.radians(degrees)}
    ours = through(map_of(64, 64, 64, "squish", **changes), points)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turned = in_halves(points, 64, 64) @ np.array([[cos, -sin], [sin, cos]]).T
    np.testing.assert_allclose(in_halves(ours, 64, 64), fastais(warp, turned), atol=1e-6)


@pytest.mark.parametrize("warp", WARPS)
def test_the_corners_of_the_view_are_where_the_four_pairs_of_points_say(warp):
    x, y = warp
    corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], dtype=float)
    targets = np.array([[-1 - y, -1 - x], [-1 + y, 1 + x], [1 + y, -1 + x], [1 - y, 1 - x]])
    to_picture = map_of(100, 100, 100, "squish", warp_x=x, warp_y=y)
    # What lies at a target in the view is the picture's corner.
    found = in_halves(through(to_picture, (targets + 1) * 50 - 0.5), 100, 100)
    np.testing.assert_allclose(found, corners, atol=1e-9)


@pytest.mark.parametrize("warp", WARPS[:4])
def test_the_pixels_are_pillows(warp):
    picture = smooth(96, 96)
    to_picture = map_of(96, 96, 96, "squish", warp_x=warp[0], warp_y=warp[1])
    # Pillow counts from the corner of the first pixel, OpenCV from its centre.
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    numbers = half @ to_picture @ np.linalg.inv(half)
    numbers = (numbers / numbers[2, 2]).ravel()[:8]
    expected = Image.fromarray(picture).transform(
        (96, 96), Image.Transform.PERSPECTIVE, list(numbers), Image.Resampling.BILINEAR
    )
    shown = seen(picture, 96, "squish", warp_x=warp[0], warp_y=warp[1])
    inside = slice(24, 72)
    assert difference(shown[inside, inside], np.asarray(expected)[inside, inside]) <= 1


def test_a_mirrored_view_of_a_warp_is_its_mirror_image():
    changes = {"warp_x": 0.2, "warp_y": -0.1, "angle": 0.1, "zoom": 1.2}
    plain, mirrored = (seen(smooth(80, 80), 64, mirror=mirror, **changes) for mirror in (False, True))
    assert np.abs(np.fliplr(plain).astype(int) - mirrored).max() <= 1
