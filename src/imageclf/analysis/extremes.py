"""The pictures worth looking at: most wrong, most right and most uncertain.

Source: lesson 1 of fast.ai, `most_by_correct` (most_incorrect, most_correct) and `most_uncertain`.
Each function returns positions into the table, the most extreme first; equal ones stay in table order.
`of_class` keeps the pictures whose true class it is.
"""

import numpy as np
from numpy.typing import NDArray

from imageclf import InputError


def most_wrong(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], k: int = 12, of_class: int | None = None
) -> NDArray[np.intp]:
    """Return up to `k` mistaken pictures, those with the highest probability on the wrong class first.

    `probabilities` is `[N, C]`, `labels` is `[N]`; a picture of unknown class (-1) is never a mistake.
    """
    predictions = probabilities.argmax(axis=1)
    chosen = (predictions != labels) & (labels >= 0) & _mask(labels, of_class)
    return _first(-probabilities.max(axis=1), chosen, k)


def most_right(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], k: int = 12, of_class: int | None = None
) -> NDArray[np.intp]:
    """Return up to `k` recognised pictures, those with the highest probability on the true class first.

    `probabilities` is `[N, C]`, `labels` is `[N]`.
    """
    chosen = (probabilities.argmax(axis=1) == labels) & _mask(labels, of_class)
    return _first(-probabilities.max(axis=1), chosen, k)


def most_uncertain(
    probabilities: NDArray[np.floating],
    labels: NDArray[np.integer] | None = None,
    k: int = 12,
    of_class: int | None = None,
) -> NDArray[np.intp]:
    """Return up to `k` pictures, those whose top probability is closest to 1/C first.

    `probabilities` is `[N, C]`; `labels` `[N]` serve `of_class` alone.

    Raises:
        InputError: `of_class` is given without `labels`.
    """
    if labels is None and of_class is not None:
        raise InputError(f"of_class={of_class} selects by the true class: give labels too")
    num_pictures, num_classes = probabilities.shape
    known = np.full(num_pictures, -1) if labels is None else labels
    # The lesson's |p - 0.5| with two classes, carried over to C.
    distance = np.abs(probabilities.max(axis=1) - 1 / num_classes)
    return _first(distance, _mask(known, of_class), k)


def _mask(labels: NDArray[np.integer], of_class: int | None) -> NDArray[np.bool_]:
    return np.ones(len(labels), dtype=np.bool_) if of_class is None else labels == of_class


def _first(keys: NDArray[np.floating], chosen: NDArray[np.bool_], k: int) -> NDArray[np.intp]:
    positions = np.flatnonzero(chosen)
    # A stable sort makes the choice among equals the same on every machine.
    return positions[np.argsort(keys[positions], kind="stable")[:k]]
