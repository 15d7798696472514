"""One loader for the whole run: its workers answer requests, whatever the phase."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from imageclf.data.dataset import Batch, PictureDataset, Request


class RequestLoader:
    """Read batches by request, with workers that live as long as the loader.

    Args:
        dataset: answers the requests.
        num_workers: processes; 0 reads in this one.
    """

    def __init__(
        self,
        dataset: PictureDataset,
        num_workers: int,
    ) -> None:
        self._requests = _Requests()
        self._loader: DataLoader[Batch] = DataLoader(
            dataset,
            sampler=self._requests,
            batch_size=None,
            collate_fn=_as_it_is,  # type: ignore[arg-type]
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            # Drawing the workers' seed from a generator of its own leaves the global one alone.
            generator=torch.Generator(),
        )

    def read(self, requests: Iterable[Request]) -> Iterator[Batch]:
        """Yield a batch per request, in order; one reading at a time."""
        self._requests.requests = requests
        yield from self._loader


class EpochLoader:
    """What the Trainer iterates: the batches of whatever epoch it is when the first one is asked for.

    The Trainer makes iterators that it never uses; nothing is read before the first batch is taken.

    Args:
        batches: yields the batches of the current epoch that are still to come.
        length: returns the number of batches of the current epoch, counted from its start.
    """

    def __init__(self, batches: Callable[[], Iterator[Batch]], length: Callable[[], int]) -> None:
        self._batches = batches
        self._length = length

    def __len__(self) -> int:
        """Return the number of batches of the whole epoch, also when it is resumed in the middle."""
        return self._length()

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches that are still to come."""
        yield from self._batches()

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: the checkpoint has the position. Lightning takes it for a resumable loader."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take nothing back."""


class _Requests(Sampler[Request]):
    """The requests of the reading that comes next."""

    def __init__(self) -> None:
        self.requests: Iterable[Request] = ()

    def __iter__(self) -> Iterator[Request]:
        return iter(self.requests)

    def __len__(self) -> int:
        raise TypeError("requests come as they are asked for")


def _as_it_is(batch: Batch) -> Batch:
    return batch
