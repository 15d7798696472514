"""Scores of a table of probabilities against the true classes."""

import numpy as np
from numpy.typing import NDArray

from imageclf import InputError


def accuracy(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the fraction of pictures whose most probable class is the true one.

    `probabilities` is `[N, C]`, `labels` is `[N]` with values in 0..C-1; of equal probabilities the first
    class counts.

    Raises:
        InputError: the shapes disagree, a label is outside 0..C-1, or there are no pictures.
    """
    _check(probabilities, labels)
    return float(np.mean(probabilities.argmax(axis=1) == labels))


def log_loss(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the mean of -log(probability of the true class), in nats.

    `probabilities` is `[N, C]`, `labels` is `[N]` with values in 0..C-1. Computed in float64 with
    probabilities clipped to [1e-15, 1], so a certain mistake costs 34.5; rows are taken as they are, not
    rescaled to a sum of one.

    Raises:
        InputError: the shapes disagree, a label is outside 0..C-1, or there are no pictures.
    """
    _check(probabilities, labels)
    # The mean of many float32 logarithms would lose digits.
    of_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.log(np.clip(of_truth, 1e-15, 1.0)).mean())


def class_accuracies(matrix: NDArray[np.integer]) -> NDArray[np.float64]:
    """Return the fraction of each class's pictures that were recognised, `[C]`.

    `matrix` is a confusion matrix `[C, C]` with the truth in rows; a class without pictures gets NaN.
    """
    sizes = matrix.sum(axis=1)
    recognised = np.diag(matrix).astype(np.float64)
    # Dividing only where there are pictures keeps numpy from warning about 0 / 0.
    shares = np.full(len(matrix), np.nan)
    np.divide(recognised, sizes, out=shares, where=sizes > 0)
    return shares


def _check(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> None:
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1]:
        raise InputError(
            f"probabilities of shape {probabilities.shape} do not go with labels of shape {labels.shape}: "
            "give [N, C] and [N]"
        )
    if len(labels) == 0:
        raise InputError("there are no pictures to score: give at least one labelled picture")
    num_classes = probabilities.shape[1]
    if labels.min() < 0 or labels.max() >= num_classes:
        raise InputError(
            f"labels run from {labels.min()} to {labels.max()}, legal are 0 to {num_classes - 1}: "
            "leave out pictures without a known class"
        )
