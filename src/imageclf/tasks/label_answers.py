"""Which answers about several labels are worth a look: labels that were missed, invented or found."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imageclf.analysis.extremes import Answer, surest_of_each
from imageclf.analysis.predictions_csv import probabilities_of, summary_of
from imageclf.tasks.label_sets import split_labels

Marks = NDArray[np.bool_]


def marks(texts: Sequence[str], classes: Sequence[str]) -> Marks:
    """Return which classes joined labels name, `[N, C]`."""
    found = [[name in names for name in classes] for names in map(split_labels, texts)]
    return np.array(found, dtype=bool).reshape(len(texts), len(classes))


def wrong(truth: Marks, taken: Marks) -> Marks:
    """Return the labels that were missed or invented."""
    return np.not_equal(truth, taken)


def missed(truth: Marks, taken: Marks) -> Marks:
    """Return the labels that are there but were not predicted."""
    return truth & ~taken


def invented(truth: Marks, taken: Marks) -> Marks:
    """Return the labels that were predicted but are not there."""
    return ~truth & taken


def found(truth: Marks, taken: Marks) -> Marks:
    """Return the labels that are there and were predicted."""
    return truth & taken


def label_answers(
    predictions: pd.DataFrame, classes: Sequence[str], kind: Callable[[Marks, Marks], Marks], most: int | None
) -> list[Answer]:
    """Return answers of a kind, the surest of each class before the second of any.

    `kind` is `wrong`, `missed`, `invented` or `found`; every picture of the table has a known label. There
    are up to `most` answers; None: all.
    """
    truth, taken = (marks(predictions[name].tolist(), classes) for name in ("label", "prediction"))
    likely = probabilities_of(predictions, classes)
    sure = np.where(taken, likely, 1 - likely)
    pairs = surest_of_each(sure, kind(truth, taken), most)
    return [
        Answer(
            *(row, place),
            truth=_answer(classes[place], truth[row, place]),
            prediction=_answer(classes[place], taken[row, place]),
            probability=float(sure[row, place]),
            is_right=bool(truth[row, place] == taken[row, place]),
        )
        for row, place in pairs
    ]


def label_summary(predictions: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Return a row per predicted class, as `class_summary` does; pictures that get none are in no row."""
    rows, columns = np.nonzero(marks(predictions["prediction"].tolist(), classes))
    names = np.array(classes, dtype=object)[columns]
    return summary_of(names, probabilities_of(predictions, classes)[rows, columns])


def _answer(name: str, is_there: np.bool_) -> str:
    return name if is_there else f"no {name}"
