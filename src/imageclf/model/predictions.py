"""Predictions of labelled pictures, collected from batches and ranks."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imageclf.analysis.scores import standard_error
from imageclf.tasks import MULTICLASS, Task

# Batches that stay on the device before they are copied together.
_KEPT = 64
# Rows that are gathered from all ranks at a time.
_GATHERED = 16_384


class Predictions(NamedTuple):
    """Probabilities of pictures, or numbers in their unit, sorted by their row in the table, on the CPU.

    Args:
        rows: of the table `[N]`, each once.
        labels: targets of the task, for instance class indices `[N]`.
        probabilities: `[N, C]`.
        task: what they are of.
    """

    rows: Tensor
    labels: Tensor
    probabilities: Tensor
    task: Task = MULTICLASS

    @property
    def accuracy(self) -> float:
        """Fraction of pictures that are wholly right, as by their most probable class; NaN of numbers."""
        return float(self.right.mean()) if self.task.kind.has_accuracy else math.nan

    @property
    def scores(self) -> dict[str, float]:
        """Accuracy, if there is one, and loss, by their names in metrics.csv and summary.json."""
        accuracy = {"acc": self.accuracy} if self.task.kind.has_accuracy else {}
        return accuracy | {"loss": self.loss}

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each picture is wholly right, `[N]`."""
        return self.task.right(self.probabilities.numpy(), self.labels.numpy())

    @property
    def losses(self) -> NDArray[np.float64]:
        """Loss of each picture `[N]`, such as -log(probability of the true class)."""
        return self.task.losses(self.probabilities.numpy(), self.labels.numpy())

    @property
    def loss(self) -> float:
        """Mean loss of the pictures."""
        return float(self.losses.mean())

    @property
    def loss_error(self) -> float:
        """Standard error of the mean loss: how far it may be off for being that of so few pictures."""
        return standard_error(self.losses)


class Collector:
    """Rows, labels and outputs `[B, ...]` of many batches, collected on the CPU.

    Many batches are copied at a time: each copy waits for the device, but all of them would fill its memory.
    """

    def __init__(self) -> None:
        self._recent: list[tuple[Tensor, Tensor, Tensor]] = []
        self._collected: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, rows: Tensor, labels: Tensor, outputs: Tensor) -> None:
        """Add the rows, labels and outputs of a batch."""
        self._recent.append((rows, labels, outputs))
        if len(self._recent) == _KEPT:
            self._move()

    def joined(self) -> tuple[Tensor, Tensor, Tensor] | None:
        """Return rows, labels and outputs of all batches in order; None without any batch."""
        self._move()
        return _joined(self._collected) if self._collected else None

    def _move(self) -> None:
        if self._recent:
            rows, labels, outputs = _joined(self._recent)
            self._collected.append((rows.cpu(), labels.cpu(), outputs.cpu()))
            self._recent = []


def gather_rows(part: Tensor, gather: Callable[[Tensor], Tensor], device: torch.device) -> Tensor:
    """Concatenate the tensors `[N, ...]` of all ranks in their order, on the CPU; a collective call.

    Args:
        part: of this rank; N may differ between ranks.
        gather: stacks tensors of one shape over the ranks.
        device: of the tensors that `gather` takes; only some rows at a time are there.
    """
    lengths = gather(torch.tensor(len(part), device=device)).tolist()
    # `gather` needs one shape, and ranks may differ by a picture.
    padded = part.new_zeros(max(lengths), *part.shape[1:])
    padded[: len(part)] = part
    pieces = [gather(piece.to(device)).cpu() for piece in torch.split(padded, _GATHERED)]
    together = torch.cat(pieces, dim=1) if pieces else padded.new_zeros(len(lengths), 0, *part.shape[1:])
    return torch.cat([rows[:length] for rows, length in zip(together, lengths, strict=True)])


def _joined(parts: list[tuple[Tensor, Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    rows, labels, outputs = zip(*parts, strict=True)
    return torch.cat(rows), torch.cat(labels), torch.cat(outputs)
