"""Which classes are confused with which, and how well each is recognised."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imageclf import InputError


class ClassScores(NamedTuple):
    """Scores of each class, `[C]` each, 0 to 1; NaN where they would be 0 / 0.

    Args:
        precision: of the pictures predicted as the class, the share that belongs to it.
        recall: of the class's pictures, the share that was predicted as it.
        f1: their harmonic mean.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]


def confusion_matrix(
    labels: NDArray[np.integer], predictions: NDArray[np.integer], num_classes: int
) -> NDArray[np.int64]:
    """Count pictures by true class (rows) and predicted class (columns), `[C, C]`.

    `labels` and `predictions` are `[N]` with values in 0..C-1.

    Raises:
        InputError: the lengths differ or a value is outside 0..C-1.
    """
    if labels.shape != predictions.shape:
        raise InputError(f"{len(labels)} labels do not match {len(predictions)} predictions: give one each")
    for name, values in (("label", labels), ("prediction", predictions)):
        if values.size and not 0 <= values.min() <= values.max() < num_classes:
            raise InputError(
                f"a {name} is outside 0..{num_classes - 1} ({values.min()} to {values.max()}): "
                "leave out pictures without a known class"
            )
    # Labels of a small type such as uint8 would overflow in the product.
    cells = labels.astype(np.int64) * num_classes + predictions
    counts = np.bincount(cells, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes).astype(np.int64)


def most_confused(matrix: NDArray[np.integer], classes: list[str]) -> list[tuple[str, str, int]]:
    """Return the mistakes as (truth, prediction, count), most frequent first, ties in class order.

    `matrix` is `[C, C]` with the truth in rows.

    Source: `interp.most_confused()` of fast.ai.
    """
    mistakes = matrix * (1 - np.eye(len(matrix), dtype=matrix.dtype))
    pairs = [
        (classes[truth], classes[prediction], int(mistakes[truth, prediction]))
        for truth, prediction in np.argwhere(mistakes)
    ]
    return sorted(pairs, key=lambda pair: -pair[2])


def class_scores(matrix: NDArray[np.integer]) -> ClassScores:
    """Return precision, recall and F1 of each class.

    `matrix` is `[C, C]` with the truth in rows.
    """
    right = np.diag(matrix).astype(np.float64)
    truths, predictions = matrix.sum(axis=1), matrix.sum(axis=0)
    precision, recall = _shares(right, predictions), _shares(right, truths)
    # Twice the right ones over both sums is the harmonic mean, and defined where only one of the two is.
    return ClassScores(precision, recall, _shares(2 * right, truths + predictions))


def _shares(parts: NDArray[np.float64], wholes: NDArray[np.integer]) -> NDArray[np.float64]:
    # Dividing only where there is something keeps numpy from warning about 0 / 0.
    shares = np.full(len(parts), np.nan)
    np.divide(parts, wholes, out=shares, where=wholes > 0)
    return shares
