"""One number or several of each picture, such as an age or a grade."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from imageclf import InputError
from imageclf.analysis.extremes import Answer
from imageclf.analysis.predictions_csv import probabilities_of, true_numbers
from imageclf.tasks.joint import joint_number_scores
from imageclf.tasks.kinds import Targets
from imageclf.tasks.number_kind import OfNumbers
from imageclf.tasks.number_loss import check_number_loss
from imageclf.tasks.number_texts import check_columns, numbers_in, ranges, text_of, written
from imageclf.tasks.task import Read, Task, check_same, read_as

# A float32 has seven digits: below this share of the mean, the spread has two of them.
_LEAST_SPREAD = 1e-5


@dataclass(frozen=True)
class Regression:
    """Numbers of each picture: targets and predictions `[N, C]` are in the unit of the CSV; see `Task`.

    The classes are the names of the columns. The network gives standardised numbers; what the other tasks
    call probabilities are numbers in the unit of the CSV, so that whatever averages them is right.

    Args:
        mean: of the training pictures, in class order; None: not measured yet.
        spread: their standard deviation, above 0.
    """

    mean: tuple[float, ...] | None = None
    spread: tuple[float, ...] | None = None

    name = "regression"
    may_be_blank = False
    is_exclusive = False
    activation = 'mul(torch.tensor(about["target_spread"])).add(torch.tensor(about["target_mean"]))'

    limits = "it gives these numbers for every picture, also for one that shows nothing of the kind"

    @property
    def kind(self) -> OfNumbers:
        """Return numbers of this mean and spread."""
        return OfNumbers(self.mean, self.spread)

    def read(self, source: Callable[..., Read]) -> Read:
        """Return what a source reads for this task.

        Raises:
            InputError: its `read` has no argument `task`.
        """
        return read_as(self, source, "a number of each picture")

    def is_spread(self, columns: pd.DataFrame) -> bool:
        """Return False: several columns of numbers are listed by name."""
        return False

    def label_texts(self, columns: pd.DataFrame) -> "pd.Series[str]":
        """Return the numbers of each row with the names of their columns.

        Raises:
            InputError: a cell is no number, see `check_columns`.
        """
        check_columns(columns)
        names = [str(name) for name in columns.columns]
        rows = (text_of(dict(zip(names, map(str.strip, row), strict=True))) for row in columns.to_numpy())
        return pd.Series(list(rows), index=columns.index, dtype="str")

    def names_in(self, labels: Sequence[str]) -> list[str]:
        """Return the names of the columns."""
        return list(dict.fromkeys(name for text in dict.fromkeys(labels) for name in numbers_in(text)))

    def relabelled(self, labels: Sequence[str], names: Mapping[str, str]) -> list[str]:
        """Refuse new names: the labels are numbers.

        Raises:
            InputError: always.
        """
        raise InputError("task=regression has no classes that could have other names")

    def targets(
        self, labels: Sequence[str], classes: Sequence[str], may_be_unknown: NDArray[np.bool_] | None = None
    ) -> Targets:
        """Return the numbers in class order, float32 `[N, C]`; NaN where unknown."""
        rows = [[float(each.get(name, math.nan)) for name in classes] for each in map(numbers_in, labels)]
        return np.array(rows, dtype=np.float32).reshape(len(labels), len(classes))

    def counts(self, targets: Targets, num_classes: int) -> NDArray[np.int64]:
        """Return the pictures with a number in each column."""
        return np.asarray((~np.isnan(targets)).sum(axis=0), dtype=np.int64)

    def balance(self, counts: Mapping[str, int], pictures: int) -> NDArray[np.float64]:
        """Return 1 for each column: standardised, they count alike."""
        return np.ones(len(counts))

    def strata(self, targets: Targets) -> NDArray[np.int64]:
        """Return in which tenth of its range the first number of each picture is."""
        return ranges(targets[:, 0])

    def measured(self, targets: Targets, classes: Sequence[str]) -> Self:
        """Return the task with mean and spread of the training pictures.

        Raises:
            InputError: a column holds one number only, or numbers that float32 cannot tell apart.
        """
        numbers = targets.astype(np.float64)
        mean, spread = numbers.mean(axis=0), numbers.std(axis=0)
        narrow = np.flatnonzero(spread <= _LEAST_SPREAD * np.abs(mean))
        if len(narrow):
            place = narrow[0]
            raise InputError(
                f"data.label_column={classes[place]}: the numbers have a spread of {spread[place]:g} around "
                f"{mean[place]:g} in training, which leaves nothing to learn; take another column, or "
                "subtract a constant from its numbers"
            )
        return replace(self, mean=tuple(mean.tolist()), spread=tuple(spread.tolist()))

    def answers(self, num_classes: int) -> float:
        """Return e: the mean as the answer for every picture has a loss of 1."""
        return math.e

    def check_loss(self, loss: nn.Module, num_classes: int) -> None:
        """Refuse a loss that is not lowest where every number is right, see `check_number_loss`."""
        check_number_loss(loss)

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return numbers in the unit of the CSV."""
        if self.mean is None or self.spread is None:
            return logits
        return logits * _like(self.spread, logits) + _like(self.mean, logits)

    def logits(self, probabilities: Tensor) -> Tensor:
        """Return them standardised."""
        if self.mean is None or self.spread is None:
            return probabilities
        return (probabilities - _like(self.mean, probabilities)) / _like(self.spread, probabilities)

    def right(self, probabilities: NDArray[np.floating], targets: Targets) -> NDArray[np.bool_]:
        """Return False throughout: a number is near or far, not right."""
        return np.zeros(len(targets), dtype=np.bool_)

    def losses(self, probabilities: NDArray[np.floating], targets: Targets) -> NDArray[np.float64]:
        """Return the mean over the columns of the squared error, in units of the squared spread."""
        errors = (probabilities.astype(np.float64) - targets) / (1.0 if self.spread is None else self.spread)
        return np.asarray((errors**2).mean(axis=1))

    def example(self, number: int, num_classes: int) -> tuple[Tensor, Tensor]:
        """Return numbers from 0, and predictions that are off by one half or less."""
        targets = torch.arange(number * num_classes, dtype=torch.float32).reshape(number, num_classes)
        return targets + targets.cos() / 2, targets

    def fitted(self, probabilities: NDArray[np.floating], targets: Targets) -> Self:
        """Return the task: held-out pictures teach it nothing."""
        return self

    def crossfitted(self, probabilities: NDArray[np.floating], targets: Targets) -> dict[str, float]:
        """Return nothing: nothing is learned."""
        return {}

    def joint_scores(
        self, predictions: pd.DataFrame, classes: Sequence[str], parts: NDArray[np.integer]
    ) -> dict[str, float]:
        """Return r2, mae and rmse, means over the columns."""
        return joint_number_scores(true_numbers(predictions), probabilities_of(predictions, classes))

    def joint_facts(self, predictions: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
        """Return nothing: mean and spread are those of the training pictures of each run."""
        return {}

    def facts(self) -> dict[str, Any]:
        """Return the task's name, and mean and spread in class order."""
        # `mean` alone is that of the pixels in an export.
        return {
            "task": self.name,
            "target_mean": list(self.mean or ()),
            "target_spread": list(self.spread or ()),
        }

    def restored(self, summary: Mapping[str, Any], num_classes: int) -> Self:
        """Return the task with the mean and the spread of a summary.

        Raises:
            InputError: they are not one number for each column.
        """
        mean, spread = (_floats(summary.get(f"target_{name}"), num_classes) for name in ("mean", "spread"))
        if mean is None or spread is None or min(spread) <= 0:
            raise InputError(
                "summary.json is damaged: target_mean and target_spread are one number for each column"
            )
        return replace(self, mean=mean, spread=spread)

    def decide(self, probabilities: NDArray[np.floating], classes: Sequence[str]) -> list[str]:
        """Return the numbers of each picture as text."""
        return [written(row) for row in probabilities]

    def submitted(self, predictions: Sequence[str], sample: Sequence[str]) -> list[str]:
        """Return them as they are."""
        return list(predictions)

    def summary(self, predictions: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
        """Return a row per column: prediction, which is its name, lowest, mean, highest."""
        numbers = probabilities_of(predictions, classes)
        columns = {
            "lowest": numbers.min(axis=0),
            "mean": numbers.mean(axis=0),
            "highest": numbers.max(axis=0),
        }
        return pd.DataFrame({"prediction": list(classes), **columns})

    def most_wrong(self, predictions: pd.DataFrame, classes: Sequence[str], most: int | None) -> list[Answer]:
        """Return nothing: a number is near or far, not wrong."""
        return []

    def most_right(self, predictions: pd.DataFrame, classes: Sequence[str], most: int | None) -> list[Answer]:
        """Return nothing, either."""
        return []

    def averaged(self, others: Sequence[Task]) -> Self:
        """Return the task: numbers are averaged in their unit, however each run standardised them."""
        check_same(self, others)
        return self

    def refuse(self, feature: str) -> None:
        """Refuse the feature, always."""
        raise InputError(f"{feature} does not know task=regression; docs/regression.md lists what does not")


def _like(numbers: Sequence[float], tensor: Tensor) -> Tensor:
    return torch.tensor(numbers, dtype=tensor.dtype, device=tensor.device)


def _floats(found: object, number: int) -> tuple[float, ...] | None:
    """Return a list of so many finite numbers; None if it is something else."""
    listed = found if isinstance(found, list) else []
    legal = all(isinstance(each, int | float) and math.isfinite(each) for each in listed)
    return tuple(map(float, listed)) if legal and len(listed) == number else None
