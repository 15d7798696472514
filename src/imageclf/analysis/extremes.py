"""The pictures worth looking at: most wrong, most right and most uncertain.

Source: lesson 1 of fast.ai, `most_by_correct` (most_incorrect, most_correct) and `most_uncertain`.
Each function returns positions into the table, the most extreme first; equal ones stay in table order.
"""

import numpy as np
from numpy.typing import NDArray


def most_wrong(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], k: int = 12
) -> NDArray[np.intp]:
    """Return up to `k` mistaken pictures, those with the highest probability on the wrong class first.

    `probabilities` is `[N, C]`, `labels` is `[N]`; a picture of unknown class (-1) is never a mistake.
    """
    predictions = probabilities.argmax(axis=1)
    chosen = (predictions != labels) & (labels >= 0)
    return _first(-probabilities.max(axis=1), chosen, k)


def most_right(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], k: int = 12
) -> NDArray[np.intp]:
    """Return up to `k` recognised pictures, those with the highest probability on the true class first.

    `probabilities` is `[N, C]`, `labels` is `[N]`.
    """
    chosen = probabilities.argmax(axis=1) == labels
    return _first(-probabilities.max(axis=1), chosen, k)


def most_uncertain(probabilities: NDArray[np.floating], k: int = 12) -> NDArray[np.intp]:
    """Return up to `k` pictures, those whose top probability is closest to 1/C first.

    `probabilities` is `[N, C]`.
    """
    num_pictures, num_classes = probabilities.shape
    # The lesson's |p - 0.5| with two classes, carried over to C.
    distance = np.abs(probabilities.max(axis=1) - 1 / num_classes)
    return _first(distance, np.ones(num_pictures, dtype=np.bool_), k)


def _first(keys: NDArray[np.floating], chosen: NDArray[np.bool_], k: int) -> NDArray[np.intp]:
    positions = np.flatnonzero(chosen)
    # A stable sort makes the choice among equals the same on every machine.
    return positions[np.argsort(keys[positions], kind="stable")[:k]]
