"""Views and weights of test-time augmentation, against what the fastai versions compute."""

import math

import numpy as np
import pytest
import torch

from imageclf import InputError
from imageclf.evaluation.predicting import mean_of_views, weighted_mean
from imageclf.evaluation.tta_presets import view_numbers, view_weights, weighted_views
from imageclf.model.predictions import Predictions

PRESETS = ("fastai07", "fastai2", "fastai1", "five_crops")


def drawn(num_views: int) -> np.ndarray:
    """Return probabilities `[5, V, 3]`."""
    return np.random.default_rng(0).dirichlet(np.ones(3), (5, num_views))


def of_fastai07(views: np.ndarray) -> np.ndarray:
    """`TTA(n_aug)` of fastai 0.7: the plain view is stacked once for every four others, then the mean."""
    plain, others = views[:, 0], [views[:, index] for index in range(1, views.shape[1])]
    return np.stack([plain] * math.ceil(len(others) / 4) + others).mean(0)


def with_beta(beta: float, views: np.ndarray) -> np.ndarray:
    """`tta(beta)` of fastai 2 and `TTA(beta)` of fastai 1."""
    return beta * views[:, 0] + (1 - beta) * views[:, 1:].mean(1)


def mean(preset: str, num_augmented: int, beta: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return drawn probabilities, and their mean over the views of a preset."""
    weights = view_weights(preset, num_augmented, beta)
    views = drawn(len(weights))
    return views, weighted_mean(torch.from_numpy(views), weights).numpy()


@pytest.mark.parametrize("num_augmented", [1, 2, 3, 4, 5, 7, 8, 9, 12, 13])
def test_fastai07_repeats_the_plain_view_for_every_four_others(num_augmented: int) -> None:
    views, result = mean("fastai07", num_augmented)
    np.testing.assert_allclose(result, of_fastai07(views), rtol=1e-12)


def test_fastai07_with_four_views_gives_a_fifth_to_each() -> None:
    assert view_weights("fastai07", 4, None) == pytest.approx([0.2] * 5, abs=1e-15)


@pytest.mark.parametrize("num_augmented", [1, 4, 9])
def test_fastai2_gives_a_quarter_to_the_plain_view(num_augmented: int) -> None:
    views, result = mean("fastai2", num_augmented)
    np.testing.assert_allclose(result, with_beta(0.25, views), rtol=1e-12)


def test_fastai1_gives_two_fifths_to_the_plain_view_and_looks_at_eight_others() -> None:
    views, result = mean("fastai1", 4)
    assert views.shape[1] == 9
    np.testing.assert_allclose(result, with_beta(0.4, views), rtol=1e-12)


def test_five_crops_are_ten_views_of_equal_weight() -> None:
    views, result = mean("five_crops", 4)
    assert views.shape[1] == 10
    np.testing.assert_allclose(result, views.mean(1), rtol=1e-12)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("beta", [0, 0.3, 1])
def test_beta_is_the_weight_of_the_plain_view_whatever_the_preset(preset: str, beta: float) -> None:
    views, result = mean(preset, 4, beta)
    np.testing.assert_allclose(result, with_beta(beta, views), rtol=1e-12)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("num_augmented", [0, 1, 4, 11])
@pytest.mark.parametrize("beta", [None, 0.6])
def test_there_is_a_weight_for_each_view_and_their_sum_is_one(
    preset: str, num_augmented: int, beta: float | None
) -> None:
    views = weighted_views(preset, num_augmented, beta)
    assert views.weights.sum() == pytest.approx(1, abs=1e-12)
    assert len(views.weights) == len(views.numbers) == len(set(views.numbers))
    assert views.numbers[0] == 0


@pytest.mark.parametrize("preset", ["fastai07", "fastai2"])
def test_without_others_the_plain_view_counts_alone(preset: str) -> None:
    assert view_numbers(preset, 0) == (0,)
    assert view_weights(preset, 0, 0.25).tolist() == [1]


def test_the_fixed_presets_share_no_view() -> None:
    assert set(view_numbers("fastai1", 4)) & set(view_numbers("five_crops", 4)) == {0}


@pytest.mark.parametrize(
    ("num_augmented", "beta", "said"),
    [(-1, None, "num_augmented=-1: give"), (4, -0.1, "beta=-0.1: give"), (4, 1.5, "beta=1.5: give")],
)
def test_a_number_out_of_range_is_refused(num_augmented: int, beta: float | None, said: str) -> None:
    with pytest.raises(InputError, match=said):
        weighted_views("fastai2", num_augmented, beta)


def test_the_mean_over_views_keeps_the_order_of_the_pictures() -> None:
    views, weights = drawn(5), view_weights("fastai07", 4, None)
    rows, labels = torch.arange(10, 15), torch.tensor([2, 0, 1, 0, 2])
    predictions = Predictions(
        rows.repeat_interleave(5), labels.repeat_interleave(5), torch.from_numpy(views.reshape(25, 3))
    )
    means = mean_of_views(predictions, weights)
    assert torch.equal(means.rows, rows)
    assert torch.equal(means.labels, labels)
    np.testing.assert_allclose(means.probabilities.numpy(), of_fastai07(views), rtol=1e-12)
