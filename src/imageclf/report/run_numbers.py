"""The numbers of a run's report: headline cards and the rows of its tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imageclf.analysis.confusion import class_scores, confusion_matrix
from imageclf.analysis.fit import Fit, Verdict, unfreezing_drop, verdicts
from imageclf.analysis.scores import auroc
from imageclf.configs.saved.numbers import sizes_in
from imageclf.report.page import Card, duration, score_text
from imageclf.report.reported import ReportedModel
from imageclf.system.machine import Machine

_CARDS = {
    "val/acc": "Accuracy",
    "val/acc_tta": "Accuracy with TTA",
    "val/acc_ensemble": "Ensemble",
    "val/acc_average": "Averaged weights",
    "val/acc_average_bn": "Averaged, new batch norm",
    "val/acc_soup": "Greedy soup",
    "val/acc_soup_bn": "Soup, new batch norm",
    "val/acc_best": "Best candidate",
    "val/loss": "Loss",
    "val/loss_tta": "Loss with TTA",
    "test/acc": "Test accuracy",
    "test/loss": "Test loss",
    "num_train": "Training pictures",
    "num_valid": "Validation pictures",
    "epochs": "Epochs",
    "seconds": "Duration",
}


@dataclass(frozen=True)
class PhaseRow:
    """One phase; NaN where something was not measured, and a note only where there is one."""

    name: str
    epochs: int
    size: str
    train_loss: float
    best_accuracy: float
    seconds: float
    note: str


@dataclass(frozen=True)
class ClassRow:
    """One class: its scores, 0 to 1, NaN where they would be 0 / 0, and what most of its mistakes are.

    `mistakes` is how many of its pictures are predicted as the class `confused_with`.
    """

    name: str
    pictures: int
    precision: float
    recall: float
    f1: float
    mistakes: int
    confused_with: str


@dataclass(frozen=True)
class LabelRow:
    """One of several labels: its scores, 0 to 1, NaN where they would be 0 / 0, and its mistakes.

    `pictures` counts those that have the label, `missed` those of them for which it is not predicted, and
    `invented` those without it for which it is. `auroc` is of the probabilities, and NaN where all pictures
    have the label, or none. The label is predicted from the probability `threshold` on; None: unknown.
    """

    name: str
    pictures: int
    precision: float
    recall: float
    f1: float
    auroc: float
    threshold: float | None
    missed: int
    invented: int


@dataclass(frozen=True)
class FitRow:
    """The end of a cycle: what was measured, and what it shows."""

    phase: str
    epoch: int
    fit: Fit
    verdict: Verdict


def headline_cards(summary: Mapping[str, object], model: ReportedModel | None) -> list[Card]:
    """Return a card per number that the summary has, in reading order.

    Scores on validation are left to the result where a run names its model; one of an earlier version shows
    all that it has.
    """
    known = [key for key in _CARDS if isinstance(summary.get(key), int | float)]
    if model is None:
        return [_card(key, summary) for key in known]
    return [_card(key, summary) for key in known if not key.startswith("val/")]


def machine_line(summary: Mapping[str, object]) -> str:
    """Return the machine that the run trained on, and its settings; "" if the summary does not say."""
    known: dict[str, Any] = {name: summary[name] for name in Machine._fields if name in summary}
    return Machine(**known).sentence if len(known) == len(Machine._fields) else ""


def phase_rows(metrics: pd.DataFrame, pictures: int) -> list[PhaseRow]:
    """Return a row per phase, in running order, of a table with a row per epoch.

    `pictures` is the number of validation pictures.
    """
    if metrics.empty:
        return []
    epochs = metrics.to_dict("records")
    drops = [unfreezing_drop(before, after, pictures) for before, after in pairwise(epochs)]
    # A phase starts once, so it has one note at most.
    notes = {epoch["phase"]: drop for epoch, drop in zip(epochs[1:], drops, strict=True) if drop}
    return [
        _phase_row(str(name), rows, notes.get(name, ""))
        for name, rows in metrics.groupby("phase", sort=False)
    ]


def class_rows(matrix: NDArray[np.integer], classes: Sequence[str]) -> list[ClassRow]:
    """Return a row per class that has pictures, lowest F1 first.

    `matrix` is a confusion matrix `[C, C]` with the truth in rows.
    """
    (precision, recall, f1), sizes = class_scores(matrix), matrix.sum(axis=1)
    mistakes = matrix * (1 - np.eye(len(matrix), dtype=matrix.dtype))
    most, worst = mistakes.max(axis=1), mistakes.argmax(axis=1)
    rows = [
        ClassRow(
            name=name,
            pictures=int(sizes[row]),
            precision=float(precision[row]),
            recall=float(recall[row]),
            f1=float(f1[row]),
            mistakes=int(most[row]),
            confused_with=classes[worst[row]],
        )
        for row, name in enumerate(classes)
        if sizes[row]
    ]
    return sorted(rows, key=lambda row: (row.f1, -row.pictures))


def label_rows(
    truth: NDArray[np.bool_],
    taken: NDArray[np.bool_],
    probabilities: NDArray[np.float64],
    classes: Sequence[str],
    thresholds: Sequence[float] | None,
) -> list[LabelRow]:
    """Return a row per class, lowest F1 first, of true and predicted labels and probabilities `[N, C]`."""
    rows = []
    for place, name in enumerate(classes):
        has, said = truth[:, place], taken[:, place]
        scores = class_scores(confusion_matrix(has.astype(np.int64), said.astype(np.int64), 2))
        rows.append(
            LabelRow(
                name=name,
                pictures=int(has.sum()),
                precision=float(scores.precision[1]),
                recall=float(scores.recall[1]),
                f1=float(scores.f1[1]),
                auroc=auroc(has, probabilities[:, place]),
                threshold=None if thresholds is None else thresholds[place],
                missed=int((has & ~said).sum()),
                invented=int((said & ~has).sum()),
            )
        )
    # NaN: neither there nor predicted, so nothing is wrong.
    return sorted(rows, key=lambda row: (row.f1 if row.f1 == row.f1 else 1.0, -row.pictures))


def fit_rows(metrics: pd.DataFrame, classes: float) -> list[FitRow]:
    """Return a row per end of a cycle, in running order; none if the losses were not measured."""
    if not {"train/loss_plain", "val/loss"} <= set(metrics.columns):
        return []
    ends = metrics.dropna(subset=["train/loss_plain", "val/loss"])
    # Runs of earlier versions have no standard error.
    columns = ("train/loss_plain", "val/loss", "val/loss_error", "val/acc")
    measured = zip(*(_column(ends, name) for name in columns), strict=True)
    fits = [Fit(train, valid, error if error > 0 else 0.0, right) for train, valid, error, right in measured]
    rows = zip(ends["phase"], ends["epoch"].astype(int), fits, verdicts(fits, classes), strict=True)
    return [FitRow(*row) for row in rows]


def _card(key: str, summary: Mapping[str, object]) -> Card:
    value, pictures = _number(summary, key), int(_number(summary, "num_valid"))
    note = ""
    if key.startswith("val/acc") and pictures:
        note = f"{round(value * pictures):,} of {pictures:,}"
    # It was selected for being high on these very pictures, and readers must know.
    if key == "val/acc_best" and summary.get("best"):
        note = f"selected: {summary['best']}"
    return Card(key, _CARDS[key], _text(key, value, pictures), note)


def _text(key: str, value: float, pictures: int) -> str:
    if "/" in key:
        return score_text(key, value, pictures)
    return duration(value) if key == "seconds" else f"{int(value):,}"


def _number(summary: Mapping[str, object], key: str) -> float:
    value = summary.get(key)
    return float(value) if isinstance(value, int | float) else 0.0


def _phase_row(name: str, epochs: pd.DataFrame, note: str) -> PhaseRow:
    sizes = sizes_in(_column(epochs, "size").dropna())
    return PhaseRow(
        name=name,
        epochs=len(epochs),
        size=" to ".join(str(size) for size in dict.fromkeys(sizes[:1] + sizes[-1:])),
        train_loss=float(_column(epochs, "train/loss").iloc[-1]),
        best_accuracy=float(_column(epochs, "val/acc").max()),
        seconds=float(_column(epochs, "seconds").sum()),
        note=note,
    )


def _column(epochs: pd.DataFrame, name: str) -> pd.Series:
    return epochs[name] if name in epochs else pd.Series(np.nan, index=epochs.index)
