"""One loader for the whole run: its workers answer requests, whatever the phase."""

import signal
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import get_start_method
from multiprocessing.util import Finalize
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from imageclf.data.batch import Batch, Request
from imageclf.data.dataset import PictureDataset
from imageclf.data.slots import Filled, Slots
from imageclf.system.signals import PREEMPTING, blocked, ignore

# Batches that a worker works ahead; torch's default.
PREFETCH = 2


class RequestLoader:
    """Read batches by request, with workers that live as long as the loader.

    Args:
        dataset: answers the requests.
        num_workers: processes; 0 reads in this one.
        largest: bytes of the pictures of the largest batch that is expected; what is larger, or comes
            while the consumer holds many batches, travels in memory of its own.
        pinned: whether a CUDA device gets the batches: what is pinned arrives sooner, and starts CUDA here.
    """

    def __init__(
        self, dataset: PictureDataset, num_workers: int, largest: int = 0, pinned: bool = False
    ) -> None:
        self._requests = _Requests()
        # Workers inherit the slots; started otherwise than by a fork they cannot.
        if num_workers > 0 and largest > 0 and get_start_method() == "fork":
            # One batch is being looked at, one is next.
            self._requests.slots = Slots(PREFETCH * num_workers + 2, largest)
        self._loader: DataLoader[Any] = DataLoader(
            _Answers(dataset, self._requests.slots),
            sampler=self._requests,
            batch_size=None,
            collate_fn=_as_it_is,
            num_workers=num_workers,
            # A scheduler's signal reaches the whole process tree; what it means, the parent decides.
            worker_init_fn=_ignore_signals,
            persistent_workers=num_workers > 0,
            pin_memory=pinned,
            # Drawing the workers' seed from a generator of its own leaves the global one alone.
            generator=torch.Generator(),
        )
        # However this process ends, before Python would terminate the workers, who ignore that, and wait.
        Finalize(self, _end_workers, (self._loader,), exitpriority=100)

    def read(self, requests: Iterable[Request]) -> Iterator[Batch]:
        """Yield a batch per request, in order; one reading at a time."""
        self._requests.requests = requests
        # Until they ignore signals, workers must not see them: torch would let SIGTERM end them.
        with blocked((*PREEMPTING, signal.SIGINT)):
            answers = iter(self._loader)
        for answer in answers:
            # Where memory is pinned, the thread that pins it has made a batch of it already.
            yield answer.batch() if isinstance(answer, Filled) else answer

    def close(self) -> None:
        """End the workers; the next reading starts new ones.

        Left to the garbage collector, each would be waited for 5 s: their queues may be gone first.
        """
        # As Lightning ends the workers of a loader that it knows; torch offers no public way.
        iterator: Any = self._loader._iterator
        self._loader._iterator = None
        if iterator is not None:
            iterator._shutdown_workers()


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


class _Order(NamedTuple):
    """A request, and the slot for its pictures."""

    request: Request
    slot: int | None


class _Requests(Sampler[_Order]):
    """The requests of the reading that comes next."""

    def __init__(self) -> None:
        self.requests: Iterable[Request] = ()
        self.slots: Slots | None = None

    def __iter__(self) -> Iterator[_Order]:
        # Runs at the first request, when the workers have finished whatever was not fetched.
        if self.slots is not None:
            self.slots.forget()
        for request in self.requests:
            yield _Order(request, None if self.slots is None else self.slots.take(request.shape))

    def __len__(self) -> int:
        raise TypeError("requests come as they are asked for")


class _Answers(Dataset[Any]):
    """Answer orders: in a slot where there is one."""

    def __init__(self, dataset: PictureDataset, slots: Slots | None) -> None:
        self._dataset = dataset
        self._slots = slots

    def __getitem__(self, order: _Order) -> Batch | Filled:
        request, slot = order
        if slot is None or self._slots is None:
            return self._dataset[request]
        shape = request.shape
        self._dataset.render(request, self._slots.array(slot, shape))
        labels = self._dataset.labels[request.rows]
        share = (request.weight, request.total)
        return Filled(self._slots.number, slot, shape, labels, request.rows, *share)


def _ignore_signals(worker: int) -> None:
    ignore()


def _end_workers(loader: DataLoader[Any]) -> None:
    if loader._iterator is not None:
        loader._iterator._shutdown_workers()  # type: ignore[attr-defined]


def _as_it_is(batch: Any) -> Any:
    return batch
