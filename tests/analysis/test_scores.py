import numpy as np
import pytest
import torch
from scipy.stats import sem
from sklearn import metrics
from torchmetrics.functional.classification import multiclass_calibration_error

from imageclf import InputError
from imageclf.analysis.scores import (
    accuracy,
    average_precision,
    log_loss,
    mean_precision,
    picture_losses,
    reliability,
    standard_error,
    wilson_interval,
)

RNG = np.random.default_rng(0)
PROBABILITIES = RNG.dirichlet(np.ones(7), size=200)
LABELS = RNG.integers(0, 7, 200)


def test_accuracy_is_that_of_scikit_learn():
    expected = metrics.accuracy_score(LABELS, PROBABILITIES.argmax(axis=1))
    assert accuracy(PROBABILITIES, LABELS) == pytest.approx(expected)


def test_log_loss_is_that_of_scikit_learn():
    expected = metrics.log_loss(LABELS, PROBABILITIES, labels=range(7))
    assert log_loss(PROBABILITIES, LABELS) == pytest.approx(expected)


def test_the_average_precision_is_that_of_scikit_learn_also_among_equal_probabilities():
    for digits in (1, 6):
        probabilities = PROBABILITIES.round(digits)
        expected = [
            metrics.average_precision_score(each == LABELS, probabilities[:, each]) for each in range(7)
        ]
        found = [average_precision(each == LABELS, probabilities[:, each]) for each in range(7)]
        assert found == pytest.approx(expected, abs=1e-12)
        truth = LABELS[:, None] == np.arange(8)
        # No picture has the last class.
        assert mean_precision(truth, np.c_[probabilities, probabilities[:, 0]]) == pytest.approx(
            np.mean(expected)
        )


def test_the_standard_error_of_the_log_loss_is_that_of_scipy():
    expected = sem(-np.log(PROBABILITIES[np.arange(200), LABELS]))
    assert standard_error(picture_losses(PROBABILITIES, LABELS)) == pytest.approx(expected)


def test_a_single_picture_has_no_standard_error():
    assert standard_error(picture_losses(PROBABILITIES[:1], LABELS[:1])) == 0


def test_a_certain_mistake_costs_a_finite_log_loss():
    certain = np.array([[1.0, 0.0]], dtype=np.float32)
    assert log_loss(certain, np.array([1])) == pytest.approx(15 * np.log(10))


@pytest.mark.parametrize("num_bins", [1, 10, 15])
def test_the_calibration_error_is_that_of_torchmetrics(num_bins):
    expected = multiclass_calibration_error(
        torch.from_numpy(PROBABILITIES), torch.from_numpy(LABELS), num_classes=7, n_bins=num_bins
    )
    assert reliability(PROBABILITIES, LABELS, num_bins).error == pytest.approx(float(expected), abs=1e-6)


def test_a_bin_tells_how_sure_and_how_often_right_its_pictures_are():
    sure = np.array([[0.9, 0.1], [0.8, 0.2], [0.35, 0.65], [1.0, 0.0]])
    confidence, right, pictures = reliability(sure, np.array([0, 1, 1, 0]), num_bins=2)
    assert (confidence, right, pictures) == (pytest.approx([3.35 / 4]), [0.75], [4])
    assert reliability(sure, np.array([0, 1, 1, 0]), num_bins=4).pictures.tolist() == [1, 3]


def test_a_model_that_is_surer_than_it_is_right_has_a_bias_above_zero():
    assert reliability(np.array([[0.9, 0.1], [0.9, 0.1]]), np.array([0, 1])).bias == pytest.approx(0.4)


@pytest.mark.parametrize("score", [accuracy, log_loss])
@pytest.mark.parametrize(
    ("labels", "message"),
    [([0, 1], "do not match"), ([0, 1, 2], "allowed are 0 to 1"), ([0, -1, 0], "without a known class")],
)
def test_a_score_refuses_labels_that_do_not_fit(score, labels, message):
    with pytest.raises(InputError, match=message):
        score(np.full((3, 2), 0.5), np.array(labels))


def test_no_pictures_have_no_accuracy():
    with pytest.raises(InputError, match="no pictures"):
        accuracy(np.zeros((0, 2)), np.zeros(0, dtype=int))


@pytest.mark.parametrize(
    ("right", "total", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0000, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_the_published_one(right, total, low, high):
    # Table I, method 3, of R. G. Newcombe, "Two-sided confidence intervals for the single proportion", 1998.
    assert wilson_interval(right, total) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("total", [1, 7, 60, 50_000])
def test_the_interval_of_a_perfect_score_ends_at_one(total):
    low, high = wilson_interval(total, total)
    assert 0 < low < 1
    assert high == pytest.approx(1)
    assert high <= 1


def test_the_interval_is_symmetric_in_right_and_wrong():
    low, high = wilson_interval(12, 60)
    assert wilson_interval(48, 60) == pytest.approx((1 - high, 1 - low))
