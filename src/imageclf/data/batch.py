"""Requests and batches: a request holds all instructions for the batch that answers it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imageclf.schedule.size import PictureSize, edges


@dataclass(frozen=True)
class Request:
    """A complete instruction for one batch.

    Args:
        rows: positions in the table, `[B]`.
        views: number of each view, `[B]`; 0: the picture as it is; above: drawn; below: fixed.
        epoch: counted from the run's start; with the row and the view it decides the draws.
        size: of the views.
        weight: of the mean loss, where ranks have batches of different sizes.
        total: pictures of the global training batch that this is a rank's share of; 0 in evaluation.
    """

    rows: NDArray[np.int64]
    views: NDArray[np.int64]
    epoch: int
    size: PictureSize
    weight: float = 1.0
    total: int = 0

    def shape(self, channels: int) -> tuple[int, int, int, int]:
        """Return the shape of the pictures, `[B, H, W, C]`."""
        return len(self.rows), *edges(self.size), channels


class Batch(NamedTuple):
    """Pictures or, instead of them, cached features.

    Args:
        images: uint8 or uint16 `[B, C, H, W]`, stored channels-last, or None.
        features: `[B, F]`, or None.
        labels: class numbers `[B]`, -1 where unknown.
        rows: positions in the table `[B]`.
        weight: see `Request`.
        total: see `Request`.
    """

    images: Tensor | None
    features: Tensor | None
    labels: Tensor
    rows: Tensor
    weight: float = 1.0
    total: int = 0

    @classmethod
    def of(
        cls,
        request: Request,
        labels: NDArray[np.int64],
        images: Tensor | None = None,
        features: Tensor | None = None,
    ) -> "Batch":
        """Return the batch that answers a request; `labels` are those of the whole table."""
        return cls(
            images,
            features,
            torch.from_numpy(labels[request.rows]),
            torch.from_numpy(request.rows),
            request.weight,
            request.total,
        )

    def pin_memory(self) -> "Batch":
        """Return the batch in pinned memory, which is copied to a GPU without blocking."""
        images, features = (None if part is None else part.pin_memory() for part in self[:2])
        return self._replace(
            images=images, features=features, labels=self.labels.pin_memory(), rows=self.rows.pin_memory()
        )
