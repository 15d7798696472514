"""What a network predicts of labelled pictures, and how right it is."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

# Batches that stay on the device: it is waited for once for all of them.
_KEPT = 64
# Rows that are gathered at a time from all ranks.
_GATHERED = 16_384


class Predictions(NamedTuple):
    """Probabilities of pictures, sorted by their row in the table; on the CPU.

    Args:
        rows: positions in the table `[N]`, each once.
        labels: class indices `[N]`.
        probabilities: `[N, C]`.
    """

    rows: Tensor
    labels: Tensor
    probabilities: Tensor

    @property
    def accuracy(self) -> float:
        """Share of pictures whose most probable class is the right one."""
        return float((self.probabilities.argmax(1) == self.labels).double().mean())

    @property
    def loss(self) -> float:
        """Mean of -log(probability of the right class)."""
        # Probabilities of 0 would make the mean infinite for one picture.
        right = self.probabilities.double().gather(1, self.labels[:, None])
        return float(-right.clamp_min(1e-15).log().mean())


class Collector:
    """Rows, labels and outputs `[B, ...]` of many batches, kept on the CPU.

    Batch by batch the device would be waited for each time, and all at the end its memory would fill up: so
    they are copied many at a time.
    """

    def __init__(self) -> None:
        self._recent: list[tuple[Tensor, Tensor, Tensor]] = []
        self._collected: list[tuple[Tensor, Tensor, Tensor]] = []

    def add(self, rows: Tensor, labels: Tensor, outputs: Tensor) -> None:
        """Take what a batch has given."""
        self._recent.append((rows, labels, outputs))
        if len(self._recent) == _KEPT:
            self._move()

    def joined(self) -> tuple[Tensor, Tensor, Tensor] | None:
        """Return rows, labels and outputs of all batches in the order they came; None of no batch."""
        self._move()
        return _joined(self._collected) if self._collected else None

    def _move(self) -> None:
        if self._recent:
            rows, labels, outputs = _joined(self._recent)
            self._collected.append((rows.cpu(), labels.cpu(), outputs.cpu()))
            self._recent = []


def gather_rows(part: Tensor, gather: Callable[[Tensor], Tensor], device: torch.device) -> Tensor:
    """Concatenate tensors `[N, ...]` on the CPU over the ranks, the first rank's first; a collective call.

    Args:
        part: of this rank; N may differ between ranks.
        gather: stacks tensors of one shape over the ranks.
        device: that `gather` takes tensors of; only some rows at a time are there.
    """
    lengths = gather(torch.tensor(len(part), device=device)).tolist()
    # `gather` wants one shape; the ranks' shares differ by a picture.
    padded = part.new_zeros(max(lengths), *part.shape[1:])
    padded[: len(part)] = part
    pieces = [gather(piece.to(device)).cpu() for piece in torch.split(padded, _GATHERED)]
    together = torch.cat(pieces, dim=1) if pieces else padded.new_zeros(len(lengths), 0, *part.shape[1:])
    return torch.cat([rows[:length] for rows, length in zip(together, lengths, strict=True)])


def _joined(parts: list[tuple[Tensor, Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    rows, labels, outputs = zip(*parts, strict=True)
    return torch.cat(rows), torch.cat(labels), torch.cat(outputs)
