"""The parts that data.resize=random_resized_crop shows, against torchvision's on the same pictures."""

import numpy as np
import pytest
import torch
from presets import preset
from scipy import stats
from torchvision.transforms import RandomResizedCrop

from imageclf.data.views.augmentation import NUM_DRAWS, draw_views, plain_views
from imageclf.data.views.geometry import maps

MANY, SIZE = 4000, 64
SQUARE, PHOTO, UPRIGHT, WIDE, PANORAMA = (900, 900), (1200, 900), (800, 1200), (2400, 1000), (4000, 800)
SHAPES = [SQUARE, PHOTO, UPRIGHT, WIDE, PANORAMA]
SCALES = [("side_on", 0.35), ("rand_augment", 0.08)]


def ours(width, height, name):
    """Draw parts of a picture: left, top, width and height in pixels, [MANY, 4]."""
    draws = np.random.default_rng(0).random((MANY, NUM_DRAWS))
    # Nothing but the crop.
    plain = preset("none", min_scale=preset(name, extra=None).min_scale)
    shapes = np.tile([float(width), height], (MANY, 1))
    to_pictures = maps(shapes, SIZE, "random_resized_crop", draw_views(plain, draws), np.ones(MANY))
    assert (to_pictures[:, [0, 1], [1, 0]] == 0).all()
    sides = to_pictures[:, [0, 1], [0, 1]] * SIZE
    return np.hstack([to_pictures[:, :2, 2] + 0.5 - sides / SIZE / 2, sides])


def torchvisions(width, height, min_scale):
    """Draw as many parts as torchvision does."""
    torch.manual_seed(0)
    picture = torch.empty(3, height, width, dtype=torch.uint8)
    drawn = [RandomResizedCrop.get_params(picture, (min_scale, 1.0), (3 / 4, 4 / 3)) for _ in range(MANY)]
    return np.array(drawn, dtype=float)[:, [1, 0, 3, 2]]


@pytest.fixture(scope="module", params=SHAPES, ids=lambda shape: f"{shape[0]}x{shape[1]}")
def shape(request):
    """Go through pictures of several shapes."""
    return request.param


@pytest.fixture(scope="module", params=SCALES, ids=lambda scale: scale[0])
def parts(request, shape):
    """Draw parts of a picture twice: as we do, and as torchvision does."""
    name, min_scale = request.param
    return whole(ours(*shape, name)), torchvisions(*shape, min_scale)


def whole(parts):
    """Round parts to whole pixels as torchvision does."""
    return np.hstack([np.floor(parts[:, :2] + 1e-6), parts[:, 2:].round()])


@pytest.fixture(scope="module", params=SCALES, ids=lambda scale: scale[0])
def drawn(request, shape):
    """Draw parts of a picture as we do, and say which share of it they may show at least."""
    name, min_scale = request.param
    # Where no try fits, the largest part of the last ratio.
    return ours(*shape, name), min(min_scale, 3 / 4 * min(shape) / max(shape))


def are_alike(one, two):
    """Test whether two samples come from one distribution."""
    return stats.ks_2samp(one, two).pvalue > 1e-4


def test_areas_are_torchvisions(parts):
    assert are_alike(*(part[:, 2] * part[:, 3] for part in parts))


def test_ratios_are_torchvisions(parts):
    assert are_alike(*((part[:, 2] / part[:, 3]).round(3) for part in parts))


@pytest.mark.parametrize("axis", [0, 1], ids=["left", "top"])
def test_places_are_torchvisions(parts, axis):
    assert are_alike(*(part[:, axis] for part in parts))


def test_every_part_lies_inside_the_picture(drawn, shape):
    parts, _ = drawn
    assert parts[:, :2].min() >= -1e-6
    assert ((parts[:, :2] + parts[:, 2:]) <= np.array(shape) + 1e-6).all()


def test_every_part_has_the_share_that_is_asked_for_or_as_much_as_fits(drawn, shape):
    parts, least = drawn
    shares = parts[:, 2] * parts[:, 3] / np.prod(shape)
    assert len(shares) == MANY and shares.min() > least - 1e-9 and shares.max() <= 1 + 1e-9


@pytest.mark.parametrize("name", [name for name, _ in SCALES])
@pytest.mark.parametrize("shape", [SQUARE, PHOTO, UPRIGHT])
def test_ratios_reach_from_three_quarters_to_four_thirds(shape, name):
    parts = ours(*shape, name)
    ratios = parts[:, 2] / parts[:, 3]
    assert 0.75 - 1e-3 < ratios.min() < 0.8 and 1.25 < ratios.max() < 4 / 3 + 1e-3


def test_where_no_part_fits_a_panorama_shows_its_centre():
    left, top, width, height = ours(*PANORAMA, "side_on").T
    assert (height == PANORAMA[1]).all() and np.allclose(width, 1.3333 * PANORAMA[1])
    assert np.allclose(left, (PANORAMA[0] - width) / 2) and np.allclose(top, 0)


def test_a_zoom_shows_less_of_the_part():
    views = plain_views(1)._replace(crops=np.full((1, 11, 2), [0.5, 1.0]), zoom=np.array([2.0]))
    shapes = np.array([[100.0, 100.0]])
    scale = maps(shapes, 50, "random_resized_crop", views, np.ones(1))[0, 0, 0]
    assert scale * 50 == pytest.approx(100 * 0.5**0.5 / 2)
