"""What transforms=fastai2 draws, against fastai 2's own draws and the distributions that it documents."""

import math

import numpy as np
import pytest
import torch
from presets import preset
from scipy import stats

from imageclf.data.views.augmentation import NUM_DRAWS, draw_views

MANY = 40_000
FASTAI2 = draw_views(preset("fastai2"), np.random.default_rng(1).random((MANY, NUM_DRAWS)))


def is_uniform(values, low, high):
    """Test values against the uniform distribution."""
    return stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-4


def has_share(chosen, share):
    """Test a share of many against its probability."""
    return stats.binomtest(int(np.sum(chosen)), len(chosen), share).pvalue > 1e-4


@pytest.mark.parametrize(
    ("part", "neutral"),
    [("warp_x", 0), ("warp_y", 0), ("brightness", 0), ("contrast", 1), ("angle", 0), ("zoom", 1)],
)
def test_each_change_is_made_to_three_pictures_in_four(part, neutral):
    assert has_share(getattr(FASTAI2, part) != neutral, 0.75)


@pytest.mark.parametrize("axis", ["warp_x", "warp_y"])
def test_changes_of_perspective_are_uniform_over_a_fifth_of_half_a_side_either_way(axis):
    warps = getattr(FASTAI2, axis)
    assert is_uniform(warps[warps != 0], -0.2, 0.2)


def test_one_axis_keeps_its_perspective_as_often_whether_the_other_does_or_not():
    kept = np.stack([FASTAI2.warp_x == 0, FASTAI2.warp_y == 0])
    assert has_share(kept.all(axis=0), 1 / 16)
    assert has_share((~kept).all(axis=0), 9 / 16)


def test_brightness_is_the_logit_of_a_change_that_is_uniform_about_a_half():
    changed = FASTAI2.brightness[FASTAI2.brightness != 0]
    assert is_uniform(1 / (1 + np.exp(-changed)), 0.5 * (1 - 0.2), 0.5 * (1 + 0.2))


def test_contrast_is_the_exponential_of_a_uniform_number():
    changed = FASTAI2.contrast[FASTAI2.contrast != 1]
    assert is_uniform(np.log(changed), math.log(1 - 0.2), -math.log(1 - 0.2))


def test_rotations_are_uniform_over_ten_degrees_either_way():
    assert is_uniform(np.degrees(FASTAI2.angle[FASTAI2.angle != 0]), -10, 10)


def test_zooms_are_uniform_up_to_a_tenth():
    assert is_uniform(FASTAI2.zoom[FASTAI2.zoom != 1], 1, 1.1)


def test_every_second_picture_is_mirrored_and_none_is_turned():
    assert has_share(FASTAI2.mirror, 0.5) and not FASTAI2.turns.any()


@pytest.mark.parametrize("axis", ["x", "y"])
def test_the_crop_is_uniform_over_the_picture(axis):
    assert is_uniform(getattr(FASTAI2, axis), 0, 1)


@pytest.fixture(scope="module")
def fastais():
    """Draw as many numbers as fastai 2 does with the defaults of its aug_transforms."""
    augment = pytest.importorskip("fastai.vision.augment")
    torch.manual_seed(0)
    geometry, lighting = augment.aug_transforms()
    (flip, rotate, zoom), (warp,), (brightness, contrast) = geometry.aff_fs, geometry.coord_fs, lighting.fs
    pictures = torch.zeros(MANY, dtype=torch.float64)
    for change in (warp, brightness, contrast):
        change.before_call(pictures)
    rotation = rotate(pictures)
    return {
        "warp_x": warp.targ_pts[:, 1, 1].numpy() - 1,
        "warp_y": warp.targ_pts[:, 2, 0].numpy() - 1,
        "brightness": augment.logit(brightness.change).numpy(),
        "contrast": contrast.change.numpy(),
        "angle": torch.atan2(rotation[:, 0, 1], rotation[:, 0, 0]).numpy(),
        "zoom": 1 / zoom(pictures)[:, 0, 0].numpy(),
        "mirror": flip(pictures)[:, 0, 0].numpy() < 0,
    }


@pytest.mark.parametrize("part", ["warp_x", "warp_y", "brightness", "contrast", "angle", "zoom", "mirror"])
def test_fastai_2_itself_draws_from_the_same_distribution(fastais, part):
    ours, theirs = getattr(FASTAI2, part), fastais[part]
    assert len(ours) == len(theirs) == MANY
    # To nine digits: their float arithmetic spreads out what is left unchanged.
    assert stats.ks_2samp(ours.astype(float).round(9), theirs.astype(float).round(9)).pvalue > 1e-4
