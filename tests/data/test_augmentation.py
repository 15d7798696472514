from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from imageclf import InputError
from imageclf.data.augmentation import NUM_DRAWS, Augmentation, draw_views, plain_views, where

SIDE_ON = Augmentation(
    max_rotate=10, p_rotate=0.75, max_zoom=1.1, p_zoom=0.75, max_lighting=0.05, p_flip=0.5, dihedral=False
)
NONE = Augmentation(max_rotate=0, p_rotate=0, max_zoom=1, p_zoom=0, max_lighting=0, p_flip=0, dihedral=False)
MANY = 40_000
DRAWS = np.random.default_rng(0).random((MANY, NUM_DRAWS))
VIEWS = draw_views(SIDE_ON, DRAWS)
TOP_DOWN = draw_views(replace(SIDE_ON, dihedral=True), DRAWS)


def is_uniform(values, low, high):
    """Test values against the uniform distribution."""
    return stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-4


def has_share(chosen, share):
    """Test a share of many against its probability."""
    return stats.binomtest(int(np.sum(chosen)), len(chosen), share).pvalue > 1e-4


def test_three_pictures_in_four_are_rotated():
    assert has_share(VIEWS.angle != 0, 0.75)


def test_rotations_are_uniform_over_ten_degrees_either_way():
    assert is_uniform(np.degrees(VIEWS.angle[VIEWS.angle != 0]), -10, 10)


def test_three_pictures_in_four_are_zoomed():
    assert has_share(VIEWS.zoom != 1, 0.75)


def test_zooms_are_uniform_from_one_to_the_largest():
    assert is_uniform(VIEWS.zoom[VIEWS.zoom != 1], 1, 1.1)


def test_every_second_picture_is_mirrored():
    assert has_share(VIEWS.mirror, 0.5)


def test_pictures_from_the_side_are_never_turned():
    assert not VIEWS.turns.any()


def test_pictures_from_above_are_turned_and_mirrored_in_eight_equal_ways():
    counts = np.bincount(2 * TOP_DOWN.turns + TOP_DOWN.mirror)
    assert len(counts) == 8 and stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("axis", ["x", "y"])
def test_the_crop_is_uniform_over_the_picture(axis):
    assert is_uniform(getattr(VIEWS, axis), 0, 1)


def test_brightness_is_uniform_over_its_range():
    assert is_uniform(VIEWS.brightness, -0.05, 0.05)


def test_contrast_up_is_uniform_above_one():
    assert is_uniform(VIEWS.contrast[VIEWS.contrast >= 1], 1, 1.05)


def test_contrast_down_is_the_inverse_of_contrast_up():
    assert is_uniform(1 / VIEWS.contrast[VIEWS.contrast < 1], 1, 1.05)


def test_contrast_goes_up_as_often_as_down():
    assert has_share(VIEWS.contrast > 1, 0.5)


@pytest.mark.parametrize(
    ("draw", "expected"), [(0, 1 / 1.5), (0.25, 1 / 1.25), (0.5, 1), (0.75, 1.25), (1, 1.5)]
)
def test_contrast_has_the_values_of_fastai(draw, expected):
    draws = np.full((1, NUM_DRAWS), draw)
    assert draw_views(replace(SIDE_ON, max_lighting=0.5), draws).contrast == pytest.approx([expected])


def test_no_two_parts_of_a_view_move_together():
    parts = [
        VIEWS.angle,
        VIEWS.zoom,
        VIEWS.mirror,
        TOP_DOWN.turns,
        VIEWS.x,
        VIEWS.y,
        VIEWS.brightness,
        VIEWS.contrast,
    ]
    correlations = np.corrcoef(np.array(parts, dtype=float))
    assert np.abs(correlations[~np.eye(len(parts), dtype=bool)]).max() < 5 / np.sqrt(MANY)


def test_whether_a_picture_is_rotated_does_not_tell_whether_it_is_zoomed():
    table = np.histogram2d(VIEWS.angle != 0, VIEWS.zoom != 1, bins=2)[0]
    assert stats.chi2_contingency(table).pvalue > 1e-4


@pytest.mark.parametrize("part", ["angle", "zoom", "mirror", "turns", "brightness", "contrast"])
def test_ranges_of_nothing_leave_all_but_the_crop_as_it_is(part):
    drawn, plain = getattr(draw_views(NONE, DRAWS), part), getattr(plain_views(MANY), part)
    np.testing.assert_array_equal(drawn, plain)


def test_plain_views_are_cropped_in_the_centre():
    plain = plain_views(3)
    assert [*plain.x, *plain.y] == [0.5] * 6


@pytest.mark.parametrize("part", range(8))
def test_where_takes_each_view_from_the_side_that_is_chosen(part):
    chosen = np.array([True, False, True, False])
    mixed = where(chosen, plain_views(4), draw_views(SIDE_ON, DRAWS[:4]))[part]
    expected = [
        (plain_views(4) if one else draw_views(SIDE_ON, DRAWS[:4]))[part][i] for i, one in enumerate(chosen)
    ]
    np.testing.assert_array_equal(mixed, expected)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_rotate", -1),
        ("max_rotate", 181),
        ("p_rotate", 1.1),
        ("p_rotate", -0.1),
        ("max_zoom", 0.9),
        ("max_zoom", 11),
        ("p_zoom", 2),
        ("max_lighting", 1),
        ("max_lighting", -0.1),
        ("p_flip", -1),
        ("p_flip", float("nan")),
    ],
)
def test_a_value_outside_its_range_is_refused_by_its_key(name, value):
    with pytest.raises(InputError, match=rf"^transforms\.{name}={value}: give a number from"):
        replace(SIDE_ON, **{name: value})
