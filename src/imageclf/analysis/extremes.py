"""The pictures worth looking at: most wrong, most right and most uncertain.

`probabilities` is `[N, C]`, `labels` is `[N]` with -1 where unknown. Each function returns up to `k` row
numbers, None for all, the most extreme first, ties in table order.

Source: lesson 1 of fast.ai, `most_by_correct` (most_incorrect, most_correct) and `most_uncertain`.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class Answer(NamedTuple):
    """What was predicted of a picture, and what is true of it.

    Args:
        row: of the table of predictions.
        place: number of the class that the prediction is about.
        truth: as the table has it; about one of several labels, its name, or `no NAME`.
        prediction: in the same words.
        probability: of the prediction.
        is_right: whether it is true.
    """

    row: int
    place: int
    truth: str
    prediction: str
    probability: float
    is_right: bool


def most_wrong(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], k: int | None = 12
) -> NDArray[np.intp]:
    """Return the mistakes with the highest probability; a picture of unknown class is never a mistake."""
    mistaken = (probabilities.argmax(axis=1) != labels) & (labels >= 0)
    return _lowest(-probabilities.max(axis=1), mistaken, k)


def most_right(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], k: int | None = 12
) -> NDArray[np.intp]:
    """Return the correct predictions with the highest probability."""
    return _lowest(-probabilities.max(axis=1), probabilities.argmax(axis=1) == labels, k)


def most_uncertain(probabilities: NDArray[np.floating], k: int = 12) -> NDArray[np.intp]:
    """Return the pictures whose top probability is closest to 1/C."""
    # The lesson's |p - 0.5| with two classes, carried over to C.
    distance = np.abs(probabilities.max(axis=1) - 1 / probabilities.shape[1])
    return np.argsort(distance, kind="stable")[:k]


def surest_of_each(
    sure: NDArray[np.floating], chosen: NDArray[np.bool_], k: int | None = 12
) -> list[tuple[int, int]]:
    """Return row and class of up to `k` answers: the surest of each class, then their second, and so on.

    `sure` is the probability of each answer, `[N, C]`, and `chosen` says which answers are meant. With `k`
    None they are all returned.
    """
    rows, places = np.nonzero(chosen)
    order = np.argsort(-sure[rows, places], kind="stable")
    found = pd.DataFrame({"row": rows[order], "place": places[order]})
    found["rank"] = found.groupby("place").cumcount()
    best = found.sort_values("rank", kind="stable").head(len(found) if k is None else k)
    return list(zip(best["row"].tolist(), best["place"].tolist(), strict=True))


def _lowest(keys: NDArray[np.floating], chosen: NDArray[np.bool_], k: int | None) -> NDArray[np.intp]:
    rows = np.flatnonzero(chosen)
    # A stable sort chooses the same among ties on every machine.
    return rows[np.argsort(keys[rows], kind="stable")[:k]]
