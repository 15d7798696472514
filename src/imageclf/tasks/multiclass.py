"""The usual task: each picture has one of the classes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from imageclf import InputError
from imageclf.analysis.extremes import Answer, most_right, most_wrong
from imageclf.analysis.predictions_csv import (
    class_summary,
    label_indices,
    most_probable,
    probabilities_of,
)
from imageclf.analysis.scores import accuracy, log_loss, picture_losses, right_ones
from imageclf.tasks.kinds import CLASSES, Targets
from imageclf.tasks.task import Read, Task, check_same

_OF_LABELS = ("MultilabelCrossEntropy", "AsymmetricLossMultiLabel", "BCEWithLogitsLoss")
_OF_NUMBERS = ("MSELoss", "L1Loss", "HuberLoss", "SmoothL1Loss")


@dataclass(frozen=True)
class Multiclass:
    """One class of each picture: targets are class numbers, probabilities the softmax; see `Task`."""

    name = "multiclass"
    kind = CLASSES
    may_be_blank = False
    is_exclusive = True
    activation = "softmax(1)"
    limits = "it gives one of these classes to every picture, also to one that shows none of them"

    def read(self, source: Callable[..., Read]) -> Read:
        """Return what a source reads."""
        return source()

    def is_spread(self, columns: pd.DataFrame) -> bool:
        """Return that the class is in one column."""
        return False

    def label_texts(self, columns: pd.DataFrame) -> "pd.Series[str]":
        """Return the only column.

        Raises:
            InputError: there are several.
        """
        if len(columns.columns) > 1:
            raise InputError(
                f"data.label_column={list(columns.columns)}: with task=multiclass give one column; several "
                "of 0 and 1 are for task=multilabel"
            )
        return columns.iloc[:, 0]

    def names_in(self, labels: Sequence[str]) -> list[str]:
        """Return the labels, each once; a blank one is none."""
        return [name for name in dict.fromkeys(labels) if name]

    def relabelled(self, labels: Sequence[str], names: Mapping[str, str]) -> list[str]:
        """Return the new name of each label, blank where it has none."""
        return [names.get(label, "") for label in labels]

    def targets(
        self, labels: Sequence[str], classes: Sequence[str], may_be_unknown: NDArray[np.bool_] | None = None
    ) -> Targets:
        """Return class numbers `[N]`, -1 for a label that is no class."""
        return (
            pd.Index(list(classes), dtype="str")
            .get_indexer(pd.Index(list(labels), dtype="str"))
            .astype(np.int64)
        )

    def counts(self, targets: Targets, num_classes: int) -> NDArray[np.int64]:
        """Return the pictures of each class."""
        return np.bincount(targets[targets >= 0], minlength=num_classes).astype(np.int64)

    def balance(self, counts: Mapping[str, int], pictures: int) -> NDArray[np.float64]:
        """Return n / (C * count): each class has the same total weight."""
        numbers = np.array(list(counts.values()), dtype=np.float64)
        return np.asarray(numbers.sum() / (len(numbers) * numbers))

    def strata(self, targets: Targets) -> NDArray[np.int64]:
        """Return the class numbers."""
        return targets

    def measured(self, targets: Targets, classes: Sequence[str]) -> Self:
        """Return the task."""
        return self

    def answers(self, num_classes: int) -> int:
        """Return the number of classes."""
        return num_classes

    def check_loss(self, loss: nn.Module, num_classes: int) -> None:
        """Refuse a loss of several labels or of numbers, which takes class numbers for something else.

        Raises:
            InputError: it is one.
        """
        name = type(loss).__name__
        others = {"several labels": ("multilabel", _OF_LABELS), "a number": ("regression", _OF_NUMBERS)}
        for what, (task, losses) in others.items():
            if name in losses:
                raise InputError(
                    f"model.loss: {name} learns {what} of each picture: give task={task}, or "
                    "model/loss=cross_entropy, focal or bce"
                )

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the softmax."""
        return logits.softmax(1)

    def logits(self, probabilities: Tensor) -> Tensor:
        """Return the logarithms, whose softmax they are."""
        return probabilities.log()

    def right(self, probabilities: NDArray[np.floating], targets: Targets) -> NDArray[np.bool_]:
        """Return where the most probable class is the true one; the first of a tie counts."""
        return right_ones(probabilities, targets)

    def losses(self, probabilities: NDArray[np.floating], targets: Targets) -> NDArray[np.float64]:
        """Return -log(probability of the true class)."""
        return picture_losses(probabilities, targets)

    def example(self, number: int, num_classes: int) -> tuple[Tensor, Tensor]:
        """Return predictions of all classes in turn, most of them wrong."""
        labels = torch.arange(number) % num_classes
        # Flattened below, so that no probability is 0 or 1, where some metrics are infinite.
        probabilities = nn.functional.one_hot(labels.flip(0), num_classes).float()
        return (probabilities + 1) / (num_classes + 1), labels

    def fitted(self, probabilities: NDArray[np.floating], targets: Targets) -> Self:
        """Return the task: the most probable class needs nothing else."""
        return self

    def crossfitted(self, probabilities: NDArray[np.floating], targets: Targets) -> dict[str, float]:
        """Return nothing: nothing is learned."""
        return {}

    def joint_scores(
        self, predictions: pd.DataFrame, classes: Sequence[str], parts: NDArray[np.integer]
    ) -> dict[str, float]:
        """Return acc and loss."""
        labels, probabilities = label_indices(predictions, classes), probabilities_of(predictions, classes)
        return {"acc": accuracy(probabilities, labels), "loss": log_loss(probabilities, labels)}

    def joint_facts(self, predictions: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def facts(self) -> dict[str, Any]:
        """Return nothing."""
        return {}

    def restored(self, summary: Mapping[str, Any], num_classes: int) -> Self:
        """Return the task."""
        return self

    def decide(self, probabilities: NDArray[np.floating], classes: Sequence[str]) -> list[str]:
        """Return the most probable class of each picture."""
        return most_probable(probabilities, classes)

    def submitted(self, predictions: Sequence[str], sample: Sequence[str]) -> list[str]:
        """Return them as they are."""
        return list(predictions)

    def summary(self, predictions: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
        """Return how often each class is predicted, and with which probability."""
        return class_summary(predictions)

    def most_wrong(self, predictions: pd.DataFrame, classes: Sequence[str], most: int | None) -> list[Answer]:
        """Return the pictures that were most confidently taken for a wrong class."""
        return _answers(predictions, classes, most_wrong, most)

    def most_right(self, predictions: pd.DataFrame, classes: Sequence[str], most: int | None) -> list[Answer]:
        """Return the pictures that were most confidently taken for their class."""
        return _answers(predictions, classes, most_right, most)

    def averaged(self, others: Sequence[Task]) -> Self:
        """Return the task.

        Raises:
            InputError: another task is among them.
        """
        check_same(self, others)
        return self

    def refuse(self, feature: str) -> None:
        """Refuse nothing."""


def _answers(
    predictions: pd.DataFrame,
    classes: Sequence[str],
    choose: Callable[..., NDArray[np.intp]],
    most: int | None,
) -> list[Answer]:
    probabilities, labels = probabilities_of(predictions, classes), label_indices(predictions, classes)
    rows = choose(probabilities, labels, most).tolist()
    truths, said = (predictions[name].iloc[rows].tolist() for name in ("label", "prediction"))
    places, sure = probabilities[rows].argmax(axis=1).tolist(), probabilities[rows].max(axis=1).tolist()
    right = [truth == each for truth, each in zip(truths, said, strict=True)]
    return list(map(Answer, rows, places, truths, said, sure, right))


MULTICLASS = Multiclass()
