"""Batches of cached features instead of pictures."""

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
    """Answer requests with cached features, on the CPU; in pinned memory if the device is a GPU.

    The features `[N, F]`, which may be mapped from a file, are those of the sorted `rows` `[N]` of the
    table, and `labels` are the class numbers of the whole table.
    """
    for request in requests:
        places = torch.from_numpy(np.searchsorted(rows, request.rows))
        # Only the cache has half precision; the head computes as without it.
        batch = Batch.of(request, labels, features=features[places].float())
        yield batch.pin_memory() if device.type == "cuda" else batch
