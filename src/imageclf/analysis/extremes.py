"""The pictures worth looking at: most wrong, most right and most uncertain.

`probabilities` is `[N, C]`, `labels` is `[N]` with -1 where unknown. Each function returns up to `k` row
numbers, the most extreme first, ties in table order.

Source: lesson 1 of fast.ai, `most_by_correct` (most_incorrect, most_correct) and `most_uncertain`.
"""

import numpy as np
from numpy.typing import NDArray


def most_wrong(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], k: int = 12
) -> NDArray[np.intp]:
    """Return the mistakes with the highest probability; a picture of unknown class is never a mistake."""
    mistaken = (probabilities.argmax(axis=1) != labels) & (labels >= 0)
    return _lowest(-probabilities.max(axis=1), mistaken, k)


def most_right(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], k: int = 12
) -> NDArray[np.intp]:
    """Return the correct predictions with the highest probability."""
    return _lowest(-probabilities.max(axis=1), probabilities.argmax(axis=1) == labels, k)


def most_uncertain(probabilities: NDArray[np.floating], k: int = 12) -> NDArray[np.intp]:
    """Return the pictures whose top probability is closest to 1/C."""
    num_pictures, num_classes = probabilities.shape
    # The lesson's |p - 0.5| with two classes, carried over to C.
    distance = np.abs(probabilities.max(axis=1) - 1 / num_classes)
    return _lowest(distance, np.ones(num_pictures, dtype=np.bool_), k)


def _lowest(keys: NDArray[np.floating], chosen: NDArray[np.bool_], k: int) -> NDArray[np.intp]:
    rows = np.flatnonzero(chosen)
    # A stable sort chooses the same among ties on every machine.
    return rows[np.argsort(keys[rows], kind="stable")[:k]]
