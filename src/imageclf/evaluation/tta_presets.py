"""Presets of test-time augmentation: which views of a picture are predicted, and their weights."""

import math
from typing import Literal, NamedTuple

import numpy as np

from imageclf import InputError
from imageclf.data.views.augmentation import Floats
from imageclf.data.views.fixed_views import NINE_CROPS, ZOOMED_CORNERS

Preset = Literal["fastai07", "fastai2", "fastai1", "five_crops"]

# Presets with random views, by the run's own transforms; the others have a fixed number of views.
DRAWN = ("fastai07", "fastai2")
_FIXED = {"fastai1": ZOOMED_CORNERS, "five_crops": NINE_CROPS}


class WeightedViews(NamedTuple):
    """Views of a picture, the plain view 0 first, and weights of their probabilities, `[V]`, with sum 1.

    The numbers are those of `imageclf.data.views.fixed_views`.
    """

    numbers: tuple[int, ...]
    weights: Floats


PLAIN = WeightedViews((0,), np.ones(1))


def weighted_views(preset: Preset, num_augmented: int, beta: float | None) -> WeightedViews:
    """Return the views of a preset with their weights.

    Of fastai07 and fastai2 there are `num_augmented` besides the plain one, which has the weight `beta`, 0
    to 1; None: the preset's own.

    Raises:
        InputError: a number is outside its range.
    """
    if num_augmented < 0:
        raise InputError(f"num_augmented={num_augmented}: give a whole number from 0")
    if beta is not None and not 0 <= beta <= 1:
        raise InputError(f"beta={beta}: give a number from 0 to 1, or null for that of {preset}")
    return WeightedViews(view_numbers(preset, num_augmented), view_weights(preset, num_augmented, beta))


def view_numbers(preset: Preset, num_augmented: int) -> tuple[int, ...]:
    """Return the numbers of a preset's views, the plain one first.

    >>> view_numbers("fastai2", 4)
    (0, 1, 2, 3, 4)
    """
    return (0, *_FIXED.get(preset, range(1, num_augmented + 1)))


def view_weights(preset: Preset, num_augmented: int, beta: float | None) -> Floats:
    """Return the weights of a preset's views, `[V]`, with sum 1; equal for all but the plain one.

    >>> view_weights("fastai2", 3, None).tolist()
    [0.25, 0.25, 0.25, 0.25]

    Source: `learn.TTA(n_aug=4)` of fastai 0.7, which repeats the plain view for every four others;
    `learn.tta(n=4, beta=.25)` of fastai 2; `learn.TTA(beta=.4)` of fastai 1.
    """
    others = len(view_numbers(preset, num_augmented)) - 1
    if others == 0:
        return PLAIN.weights
    copies = math.ceil(others / 4)
    fastai07, five_crops = copies / (copies + others), 1 / (1 + others)
    own = {"fastai07": fastai07, "fastai2": 0.25, "fastai1": 0.4, "five_crops": five_crops}
    plain = own[preset] if beta is None else beta
    return np.array([plain, *[(1 - plain) / others] * others])
