"""Any number of classes of each picture, also none: each is a question of its own, yes or no."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from imageclf import InputError
from imageclf.analysis.extremes import Answer
from imageclf.analysis.predictions_csv import probabilities_of
from imageclf.tasks.joint import joint_label_scores
from imageclf.tasks.kinds import CLASSES, Targets
from imageclf.tasks.label_answers import found, label_answers, label_summary, wrong
from imageclf.tasks.label_loss import check_label_loss
from imageclf.tasks.label_sets import (
    has_marks,
    joined,
    label_targets,
    names_in,
    rarest,
    separated_as,
    split_labels,
    texts_of,
)
from imageclf.tasks.task import Read, Task, check_same, read_as
from imageclf.tasks.thresholds import checked_thresholds, crossfitted_fbeta, tuned_thresholds

# Far below it precision no longer counts; far above it its square is too large for a float.
_MOST_BETA = 1000


@dataclass(frozen=True)
class Multilabel:
    """Any number of classes of each picture: targets are 0 or 1 `[N, C]`, probabilities sigmoids; see `Task`.

    Args:
        separator: between the labels in a cell of the CSV; None: see `find_separator`.
        threshold: probability from which on a class is predicted: a number for all of them, or tuned: of each
            class by itself, on the validation pictures at the end of the run.
        beta: tuned thresholds have the highest F-beta: 1 weighs precision and recall alike, 2 favours recall.
        thresholds: the tuned ones, in class order.

    Raises:
        InputError: a value is outside its range.
    """

    separator: str | None = None
    threshold: float | Literal["tuned"] = "tuned"
    beta: float = 1.0
    thresholds: tuple[float, ...] | None = None

    name = "multilabel"
    kind = CLASSES
    may_be_blank = True
    is_exclusive = False
    activation = "sigmoid()"
    limits = (
        "it knows these labels alone, and gives a picture those whose probability reaches their threshold "
        "(`thresholds` or `threshold` in `config.json`)"
    )

    def __post_init__(self) -> None:
        if self.separator == "":
            raise InputError("task.separator='' separates nothing: give what is between two labels, or null")
        if self.threshold != "tuned" and not 0 < self.threshold < 1:
            raise InputError(f"task.threshold={self.threshold}: give tuned, or a number between 0 and 1")
        if not 0 < self.beta <= _MOST_BETA:
            raise InputError(f"task.beta={self.beta}: give a number above 0, up to {_MOST_BETA}")

    def read(self, source: Callable[..., Read]) -> Read:
        """Return what a source reads for this task.

        Raises:
            InputError: its `read` has no argument `task`.
        """
        return read_as(self, source, "several labels of each picture")

    def is_spread(self, columns: pd.DataFrame) -> bool:
        """Return whether there are several columns, all of 0 and 1."""
        return has_marks(columns)

    def label_texts(self, columns: pd.DataFrame) -> "pd.Series[str]":
        """Return the joined labels of each row, from a column of them or a column of 0 and 1 of each class.

        Raises:
            InputError: a cell of several columns is neither 0 nor 1, or those of a single one all are.
        """
        return texts_of(columns, self.separator)

    def names_in(self, labels: Sequence[str]) -> list[str]:
        """Return the names in joined labels."""
        return names_in(labels)

    def relabelled(self, labels: Sequence[str], names: Mapping[str, str]) -> list[str]:
        """Return the new names in each label, each once, joined."""
        found = ({names[name] for name in split_labels(label) if name in names} for label in labels)
        return list(map(joined, found))

    def targets(
        self, labels: Sequence[str], classes: Sequence[str], may_be_unknown: NDArray[np.bool_] | None = None
    ) -> Targets:
        """Return 1 for each class that a picture has and 0 for the others, float32 `[N, C]`."""
        targets = label_targets(labels, classes)
        if may_be_unknown is not None:
            targets[may_be_unknown & (targets.sum(axis=1) == 0)] = -1
        return targets

    def counts(self, targets: Targets, num_classes: int) -> NDArray[np.int64]:
        """Return the pictures that have each class."""
        return np.asarray((targets == 1).sum(axis=0), dtype=np.int64)

    def balance(self, counts: Mapping[str, int], pictures: int) -> NDArray[np.float64]:
        """Return pictures without a class for each one with it: both answers have the same total weight."""
        numbers = np.array(list(counts.values()), dtype=np.float64)
        # A class that all pictures have teaches nothing, but must not lose its weight.
        return np.maximum(pictures - numbers, 1) / numbers

    def strata(self, targets: Targets) -> NDArray[np.int64]:
        """Return the rarest class that each picture has; the number of classes for a picture without any."""
        return rarest(targets)

    def measured(self, targets: Targets, classes: Sequence[str]) -> Self:
        """Return the task."""
        return self

    def answers(self, num_classes: int) -> int:
        """Return 2: each class is a question of yes or no."""
        return 2

    def check_loss(self, loss: nn.Module, num_classes: int) -> None:
        """Refuse a loss that takes each picture for one of the classes, see `check_label_loss`."""
        check_label_loss(loss, num_classes)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the sigmoid of each class."""
        return logits.sigmoid()

    def logits(self, probabilities: Tensor) -> Tensor:
        """Return the log-odds."""
        return probabilities.logit()

    def right(self, probabilities: NDArray[np.floating], targets: Targets) -> NDArray[np.bool_]:
        """Return where every class is answered as it is: `sklearn.metrics.accuracy_score` counts the same."""
        return np.asarray((self._taken(probabilities) == (targets == 1)).all(axis=1))

    def losses(self, probabilities: NDArray[np.floating], targets: Targets) -> NDArray[np.float64]:
        """Return the mean of -log(probability of the true answer) over the classes."""
        of_truth = np.where(targets == 1, probabilities, 1 - probabilities.astype(np.float64))
        return np.asarray(-np.log(np.clip(of_truth, 1e-15, 1.0)).mean(axis=1))

    def example(self, number: int, num_classes: int) -> tuple[Tensor, Tensor]:
        """Return predictions of which some are right; every class is there and is missing."""
        # Every third place: with every second one, rolling the rows would make all of them wrong.
        targets = (torch.arange(number)[:, None] + torch.arange(num_classes)) % 3 == 0
        return (targets.roll(1, 0).float() + 1) / 3, targets.long()

    def fitted(self, probabilities: NDArray[np.floating], targets: Targets) -> Self:
        """Return the task with a threshold of each class, if they are to be tuned."""
        if self.threshold != "tuned":
            return self
        return replace(self, thresholds=tuned_thresholds(probabilities, targets, self.beta))

    def crossfitted(self, probabilities: NDArray[np.floating], targets: Targets) -> dict[str, float]:
        """Return the macro F-beta of tuned thresholds, cross-fitted; see `crossfitted_fbeta`."""
        if self.threshold != "tuned":
            return {}
        found = crossfitted_fbeta(probabilities, targets, self.beta, rarest(targets))
        return {f"f{self.beta:g}_macro_crossfit": found}

    def joint_scores(
        self, predictions: pd.DataFrame, classes: Sequence[str], parts: NDArray[np.integer]
    ) -> dict[str, float]:
        """Return acc, loss, map and macro F-beta, the latter cross-fitted, too."""
        probabilities = probabilities_of(predictions, classes)
        targets = label_targets(predictions["label"].tolist(), classes)
        tuned_on = parts if self.threshold == "tuned" else None
        found = joint_label_scores(probabilities, targets, self._taken(probabilities), self.beta, tuned_on)
        return {**found, "loss": float(self.losses(probabilities, targets).mean())}

    def joint_facts(self, predictions: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
        """Return the thresholds that suit the predictions best, if they are to be tuned."""
        targets = label_targets(predictions["label"].tolist(), classes)
        task = self.fitted(probabilities_of(predictions, classes), targets)
        return {} if task.thresholds is None else task.facts()

    def facts(self) -> dict[str, Any]:
        """Return the task's name, and the thresholds: in class order if they were tuned, else that of all."""
        if self.thresholds is None:
            return {"task": self.name, "threshold": self._thresholds}
        return {"task": self.name, "thresholds": list(self.thresholds)}

    def restored(self, summary: Mapping[str, Any], num_classes: int) -> Self:
        """Return the task with the thresholds of a summary; a run without validation has none.

        Raises:
            InputError: they are not one number from 0 to 1 for each class.
        """
        found = summary.get("thresholds")
        return self if found is None else replace(self, thresholds=checked_thresholds(found, num_classes))

    def decide(self, probabilities: NDArray[np.floating], classes: Sequence[str]) -> list[str]:
        """Return the classes of each picture that reach their threshold, joined; "" for none."""
        names = np.array(classes, dtype=object)
        return [joined(names[row]) for row in self._taken(probabilities)]

    def submitted(self, predictions: Sequence[str], sample: Sequence[str]) -> list[str]:
        """Return labels separated as in the sample, see `separated_as`."""
        return separated_as(sample, predictions, self.separator)

    def summary(self, predictions: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
        """Return how many pictures get each class, and with which probability; not those that get none."""
        return label_summary(predictions, classes)

    def most_wrong(self, predictions: pd.DataFrame, classes: Sequence[str], most: int | None) -> list[Answer]:
        """Return the labels that were missed or invented, the surest of each class before others of it."""
        return label_answers(predictions, classes, wrong, most)

    def most_right(self, predictions: pd.DataFrame, classes: Sequence[str], most: int | None) -> list[Answer]:
        """Return the labels that were found, in the same order."""
        return label_answers(predictions, classes, found, most)

    def averaged(self, others: Sequence[Task]) -> Self:
        """Return the task with the mean of the thresholds of each class, tuned or not."""
        check_same(self, others)
        found = [each._thresholds for each in others if isinstance(each, Multilabel)]
        mean = np.mean(np.broadcast_arrays(*found), axis=0)
        if mean.ndim == 0:
            return replace(self, threshold=float(mean))
        return replace(self, thresholds=tuple(mean.tolist()))

    def refuse(self, feature: str) -> None:
        """Refuse nothing."""

    @property
    def _thresholds(self) -> float | NDArray[np.float64]:
        """Return the threshold of all classes, or those of each."""
        if self.thresholds is not None:
            return np.array(self.thresholds)
        return 0.5 if self.threshold == "tuned" else self.threshold

    def _taken(self, probabilities: NDArray[np.floating]) -> NDArray[np.bool_]:
        return np.asarray(probabilities >= self._thresholds)
