"""Several labels in a run's report: their scores, which of them come together, and their thresholds."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from imageclf.analysis.predictions_csv import probabilities_of
from imageclf.report.page import score
from imageclf.report.run_files import RunFiles
from imageclf.report.run_numbers import LabelRow, label_rows
from imageclf.tasks.label_answers import marks


@dataclass(frozen=True)
class Labels:
    """How several labels of the validation pictures were predicted.

    Args:
        together: pictures that have a class, in rows, and of them those that have another, `[C, C]`.
        predicted: of the same pictures those for which the other is predicted, `[C, C]`.
        classes: a row of each class.
        tuned: words on what tuned thresholds are worth on new pictures; "" if none were tuned.
    """

    together: list[list[int]]
    predicted: list[list[int]]
    classes: list[LabelRow]
    tuned: str


def labels_of(run: RunFiles) -> Labels:
    """Return the numbers of a run's labels on the validation pictures, of which there are some."""
    table, classes = run.predictions, run.classes
    truth, taken = (marks(table[column].tolist(), classes) for column in ("label", "prediction"))
    thresholds = run.summary.get("thresholds")
    known = thresholds if isinstance(thresholds, list) and len(thresholds) == len(classes) else None
    counts = truth.astype(np.int64)
    return Labels(
        together=(counts.T @ counts).tolist(),
        predicted=(counts.T @ taken.astype(np.int64)).tolist(),
        classes=label_rows(truth, taken, probabilities_of(table, classes), classes, known),
        tuned=tuned_words(run.summary),
    )


def tuned_words(summary: Mapping[str, object]) -> str:
    """Return what tuned thresholds are worth on new pictures, as words of a sentence; "" if none were tuned.

    >>> tuned_words({"thresholds": [0.4, 0.6]})
    'the thresholds were tuned on these very pictures: expect a little less on new ones'
    """
    if not summary.get("thresholds"):
        return ""
    words = "the thresholds were tuned on these very pictures"
    for name, value in summary.items():
        if name.endswith("_macro_crossfit") and isinstance(value, int | float):
            measure = name.removeprefix("model/").partition("_")[0].upper()
            mean = f"their mean {measure} is {score(value)}, which is what to expect on new ones"
            return f"{words}; tuned on one half of them and scored on the other, {mean}"
    return f"{words}: expect a little less on new ones"
