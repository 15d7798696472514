"""What targets are made of, classes or numbers: what follows from that alone, whatever the task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor, nn

Targets = NDArray[Any]
"""What a loss aims at, a row per picture: [N] class numbers, or [N, C] of 0 and 1; -1 where unknown.

Of numbers [N, C] in the unit of the CSV; NaN where unknown.
"""


class Kind(Protocol):
    """A frozen object; every method is a function of its arguments. `probabilities` are `[N, C]`."""

    @property
    def has_accuracy(self) -> bool:
        """Return whether a prediction is either right or wrong."""

    @property
    def outputs(self) -> str:
        """Return what is predicted of each class or column, in the plural."""

    @property
    def title(self) -> str:
        """Return the heading of a list of what is predicted."""

    @property
    def judged(self) -> str:
        """Return what is done to a picture, as a participle."""

    @property
    def least_classes(self) -> int:
        """Return how many classes there must be to train on."""

    @property
    def share(self) -> str:
        """Return of what training and validation get the same share, as words after "of each"."""

    def words(self, classes: Sequence[str]) -> str:
        """Return what is predicted."""

    def shown(self, labels: Sequence[str], classes: Sequence[str]) -> list[str]:
        """Return labels of a table as predictions/*.csv shows them."""

    def captions(self, targets: Targets, classes: Sequence[str]) -> list[str]:
        """Return known targets in words."""

    def known(self, targets: Targets) -> NDArray[np.bool_]:
        """Return which pictures have a target, `[N]`."""

    def dealt_by(self, targets: Targets) -> Targets:
        """Return what a stratified split evens out: numbers from 0 `[N]`, or 0 and 1 `[N, C]`."""

    def on_targets(self, loss: nn.Module) -> nn.Module:
        """Return a loss of logits and targets; the loss that is given if it takes these."""

    def check_mixing(self, node: Mapping[str, Any] | None) -> None:
        """Refuse a `model.mixing` that makes no targets for its pictures.

        Raises:
            InputError: it is one.
        """

    def scored(self, probabilities: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities and targets as a metric takes them."""

    def in_words(self, rows: pd.DataFrame) -> list[str]:
        """Return a few words on each row of a task's `summary`."""


@dataclass(frozen=True)
class OfClasses:
    """Classes, one or any number of each picture; see `Kind`."""

    has_accuracy = True
    outputs = "probabilities"
    title = "Classes"
    judged = "classified"
    least_classes = 2
    share = "class"

    def words(self, classes: Sequence[str]) -> str:
        """Return how many classes there are."""
        return f"{len(classes)} classes"

    def shown(self, labels: Sequence[str], classes: Sequence[str]) -> list[str]:
        """Return the labels."""
        return list(labels)

    def captions(self, targets: Targets, classes: Sequence[str]) -> list[str]:
        """Return the classes of each picture."""
        marks = targets == 1 if targets.ndim == 2 else np.eye(len(classes), dtype=bool)[targets]
        return [", ".join(np.array(classes, dtype=object)[row]) or "no label" for row in marks]

    def known(self, targets: Targets) -> NDArray[np.bool_]:
        """Return where nothing is -1."""
        return np.asarray((targets.reshape(len(targets), -1) >= 0).all(axis=1))

    def dealt_by(self, targets: Targets) -> Targets:
        """Return the targets."""
        return targets

    def on_targets(self, loss: nn.Module) -> nn.Module:
        """Return the loss."""
        return loss

    def check_mixing(self, node: Mapping[str, Any] | None) -> None:
        """Refuse nothing: a mixed picture has a share of each class."""

    def scored(self, probabilities: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Return probabilities in 0..1 and whole numbers."""
        # Rounding may exceed 1, and torchmetrics would take that for logits.
        return probabilities.clamp(0, 1), targets.long()

    def in_words(self, rows: pd.DataFrame) -> list[str]:
        """Return how many pictures are predicted as each class."""
        return [f"{row.pictures:,} {row.prediction}" for row in rows.itertuples()]


CLASSES = OfClasses()
