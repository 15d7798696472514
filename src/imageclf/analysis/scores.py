"""Accuracy, log loss and calibration of probabilities, for training, reports and cross-validation alike."""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imageclf import InputError


class Reliability(NamedTuple):
    """Pictures by the probability of their prediction, in bins of equal width that hold at least one.

    Args:
        confidence: mean probability of the prediction, `[B]`.
        accuracy: share of predictions that are right, `[B]`.
        pictures: their number, `[B]`.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    pictures: NDArray[np.int64]

    @property
    def error(self) -> float:
        """The expected calibration error: how far confidence and accuracy differ, mean over the pictures."""
        return float(np.average(np.abs(self.confidence - self.accuracy), weights=self.pictures))

    @property
    def bias(self) -> float:
        """How much higher the confidence is than the accuracy, mean over the pictures; below 0: lower."""
        return float(np.average(self.confidence - self.accuracy, weights=self.pictures))


def accuracy(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the fraction of pictures whose most probable class is the true one; the first of a tie counts.

    `probabilities` is `[N, C]`, `labels` is `[N]` with values in 0..C-1.

    Raises:
        InputError: the shapes disagree, a label is outside 0..C-1, or there are no pictures.
    """
    return float(right_ones(probabilities, labels).mean())


def right_ones(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Return which pictures `accuracy` counts as right, `[N]`."""
    _check(probabilities, labels)
    return np.asarray(probabilities.argmax(axis=1) == labels)


def log_loss(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the mean of -log(probability of the true class), in nats.

    Arguments and errors are those of `accuracy`. Computed in float64 with probabilities clipped to [1e-15,
    1], so a confident mistake costs at most 34.5; rows are not rescaled to a sum of one.
    """
    return float(picture_losses(probabilities, labels).mean())


def standard_error(losses: NDArray[np.floating]) -> float:
    """Return the standard error of the mean of `losses` `[N]`; 0 for a single picture."""
    return float(losses.std(ddof=1) / np.sqrt(len(losses))) if len(losses) > 1 else 0.0


def reliability(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], num_bins: int = 10
) -> Reliability:
    """Compare the probability of each prediction with how often such predictions are right.

    Arguments and errors are those of `accuracy`. A probability on the edge of two bins is in the lower one.

    Source: Guo et al., "On Calibration of Modern Neural Networks", https://arxiv.org/abs/1706.04599.
    """
    _check(probabilities, labels)
    top = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    bins = np.clip(np.ceil(top * num_bins).astype(np.int64) - 1, 0, num_bins - 1)
    count = np.bincount(bins, minlength=num_bins)
    filled = count > 0
    confidence, accurate = (
        np.bincount(bins, each, num_bins)[filled] / count[filled] for each in (top, right)
    )
    return Reliability(confidence, accurate, count[filled])


def picture_losses(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return -log(probability of the true class) of each picture `[N]`, as `log_loss` averages it."""
    _check(probabilities, labels)
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    losses: NDArray[np.float64] = -np.log(np.clip(of_truth, 1e-15, 1.0))
    return losses


def auroc(truth: NDArray[np.bool_], probabilities: NDArray[np.floating]) -> float:
    """Return how often a picture that has a class is above one that has not, ties half; NaN without either.

    Source: the statistic of Mann and Whitney; `sklearn.metrics.roc_auc_score`.
    """
    present, absent = int(truth.sum()), int((~truth).sum())
    if not (present and absent):
        return math.nan
    ranks = pd.Series(probabilities).rank().to_numpy()
    return float((ranks[truth].sum() - present * (present + 1) / 2) / (present * absent))


def mean_precision(truth: NDArray[np.bool_], probabilities: NDArray[np.floating]) -> float:
    """Return the mean of `average_precision` over the classes that pictures have, of `[N, C]` each (mAP)."""
    each = [average_precision(*pair) for pair in zip(truth.T, probabilities.T, strict=True)]
    known = [value for value in each if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan


def average_precision(truth: NDArray[np.bool_], probabilities: NDArray[np.floating]) -> float:
    """Return the mean precision over the pictures that have a class, the likeliest first; NaN without any.

    Source: `sklearn.metrics.average_precision_score`.
    """
    order = np.argsort(-probabilities, kind="stable")
    hits = np.cumsum(truth[order])
    # Pictures of one probability are taken together.
    last = np.flatnonzero(np.append(np.diff(probabilities[order]) != 0, True))
    found = np.diff(hits[last], prepend=0)
    return float((found * hits[last] / (last + 1)).sum() / truth.sum()) if truth.any() else math.nan


def explained_variance(predicted: NDArray[np.floating], truth: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return R², the share of the variance of `[N, C]` or `[N]` numbers that is explained, of each column.

    NaN where all true numbers are equal.

    Source: `sklearn.metrics.r2_score`.
    """
    # By the range, not the variance: that of equal numbers may be a little above 0, by rounding.
    variance = np.where(np.ptp(truth, axis=0) > 0, truth.var(axis=0), np.nan)
    return np.asarray(1 - ((predicted - truth) ** 2).mean(axis=0) / variance)


def wilson_interval(right: float, total: int) -> tuple[float, float]:
    """Return the ends, 0 to 1, of a 95 % confidence interval of the accuracy on all pictures of this kind.

    Of `total` pictures, at least one, `right` were classified correctly; a mean over several scorings may be
    a fraction.

    Source: E. B. Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927. Unlike
    the textbook interval it holds for few pictures, and stays within 0 and 1.

    >>> [round(bound, 3) for bound in wilson_interval(58, 60)]
    [0.886, 0.991]
    """
    z = NormalDist().inv_cdf(0.975)
    share, weight = right / total, z * z / total
    centre = (share + weight / 2) / (1 + weight)
    half = np.sqrt(weight * share * (1 - share) + weight * weight / 4) / (1 + weight)
    # Rounding may leave the range by a last digit.
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def _check(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> None:
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise InputError(
            f"probabilities of shape {probabilities.shape} do not match labels of shape {labels.shape}: "
            "give [N, C] and [N]"
        )
    if len(labels) == 0:
        raise InputError("there are no pictures to score: give at least one labelled picture")
    highest = probabilities.shape[1] - 1
    if labels.min() < 0 or labels.max() > highest:
        raise InputError(
            f"labels range from {labels.min()} to {labels.max()}, allowed are 0 to {highest}: "
            "leave out pictures without a known class"
        )
