"""Ranges of an augmentation, and how its presets draw what fastai 0.7 draws too."""

from dataclasses import replace

import numpy as np
import pytest
from presets import SIDE_ON, preset
from scipy import stats

from imageclf import InputError
from imageclf.data.views.augmentation import CROP_TRIES, NUM_DRAWS, Views, draw_views, plain_views, where

MANY = 40_000
DRAWS = np.random.default_rng(0).random((MANY, NUM_DRAWS))
VIEWS = draw_views(SIDE_ON, DRAWS)
TOP_DOWN = draw_views(preset("top_down"), DRAWS)
STRONG = preset("fastai2", dihedral=True)


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


def test_pictures_from_above_are_drawn_as_those_from_the_side_but_for_the_turns():
    differing = [
        name for name in Views._fields if not np.array_equal(getattr(VIEWS, name), getattr(TOP_DOWN, name))
    ]
    assert differing == ["turns"]


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


@pytest.mark.parametrize("axis", ["warp_x", "warp_y"])
def test_pictures_from_the_side_keep_their_perspective(axis):
    assert not getattr(VIEWS, axis).any()


@pytest.mark.parametrize(
    ("draw", "expected"), [(0, 1 / 1.5), (0.25, 1 / 1.25), (0.5, 1), (0.75, 1.25), (1, 1.5)]
)
def test_contrast_has_the_values_of_fastai_0_7(draw, expected):
    draws = np.full((1, NUM_DRAWS), draw)
    always = replace(SIDE_ON, max_lighting=0.5, p_lighting=1.0)
    # One draw of exactly 1 is never below a probability of 1: that one is set by hand.
    draws[:, 11] = 0
    assert draw_views(always, draws).contrast == pytest.approx([expected])


def test_no_two_numbers_of_a_view_move_together():
    parts = draw_views(STRONG, DRAWS)
    # The last of the crops is a limit, not drawn.
    parts = parts._replace(crops=parts.crops[:, :CROP_TRIES])
    columns = np.column_stack([part.reshape(MANY, -1).astype(float) for part in parts])
    assert columns.shape[1] == 11 + 2 * CROP_TRIES
    correlations = np.corrcoef(columns, rowvar=False)
    assert np.abs(correlations[~np.eye(len(correlations), dtype=bool)]).max() < 5 / np.sqrt(MANY)


@pytest.mark.parametrize(
    ("one", "other"),
    [("angle", "zoom"), ("warp_x", "warp_y"), ("brightness", "contrast"), ("zoom", "warp_x")],
)
def test_whether_one_thing_is_done_does_not_tell_whether_another_is(one, other):
    drawn, plain = draw_views(STRONG, DRAWS), plain_views(MANY)
    done = [getattr(drawn, name) != getattr(plain, name) for name in (one, other)]
    assert stats.chi2_contingency(np.histogram2d(*done, bins=2)[0]).pvalue > 1e-4


@pytest.mark.parametrize("part", sorted({*Views._fields} - {"x", "y", "crops", "seed"}))
def test_ranges_of_nothing_leave_all_but_the_crop_as_it_is(part):
    drawn, plain = getattr(draw_views(preset("none"), DRAWS), part), getattr(plain_views(MANY), part)
    np.testing.assert_array_equal(drawn, plain)


def test_plain_views_are_cropped_in_the_centre():
    plain = plain_views(3)
    assert [*plain.x, *plain.y] == [0.5] * 6


def test_random_crops_of_plain_views_show_the_whole_picture():
    np.testing.assert_array_equal(plain_views(3).crops, np.ones((3, CROP_TRIES + 1, 2)))


@pytest.mark.parametrize("part", range(len(Views._fields)))
def test_where_takes_each_view_from_the_side_that_is_chosen(part):
    chosen, drawn = np.array([True, False, True, False]), draw_views(STRONG, DRAWS[:4])
    mixed = where(chosen, plain_views(4), drawn)[part]
    expected = [(plain_views(4) if one else drawn)[part][i] for i, one in enumerate(chosen)]
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
        ("max_warp", 0.5),
        ("max_warp", -0.1),
        ("p_warp", 1.5),
        ("max_lighting", 1),
        ("max_lighting", -0.1),
        ("p_lighting", -1),
        ("p_flip", -1),
        ("p_flip", float("nan")),
        ("min_scale", 0),
        ("min_scale", 1.1),
        ("max_ratio", 0.9),
        ("max_ratio", 11),
    ],
)
def test_a_value_outside_its_range_is_refused_by_its_key(name, value):
    with pytest.raises(InputError, match=rf"^transforms\.{name}={value}: give a number from"):
        replace(SIDE_ON, **{name: value})
