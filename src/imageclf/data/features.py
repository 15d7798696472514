"""Batches of cached features in the place of pictures."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imageclf.data.batch import Batch, Request
from imageclf.data.sampler import Rows


def featured(
    features: Tensor, rows: Rows, labels: NDArray[np.int64], requests: Iterable[Request], device: torch.device
) -> Iterator[Batch]:
    """Answer requests from cached features; their batches are on the CPU, ready to leave it without a wait.

    Args:
        features: of the pictures of a split, `[N, F]`; they may be mapped from a file.
        rows: of those pictures in the table, `[N]`, sorted.
        labels: class indices of the whole table.
        requests: for pictures of the split.
        device: where the batches will be sent.
    """
    for request in requests:
        places = torch.from_numpy(np.searchsorted(rows, request.rows))
        batch = Batch(
            images=None,
            # Half precision is for the store; the head computes as it always does.
            features=features[places].float(),
            labels=torch.from_numpy(labels[request.rows]),
            rows=torch.from_numpy(request.rows),
            weight=request.weight,
            total=request.total,
        )
        yield batch.pin_memory() if device.type == "cuda" else batch
