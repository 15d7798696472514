"""Loaders for the whole run: workers answer requests, whatever the phase."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import torch

from imageclf.data.batch import Batch, Request
from imageclf.data.dataset import PictureDataset
from imageclf.data.slots import Memory
from imageclf.data.views.augmentation import Picture
from imageclf.data.workers import Answer, Workers


class RequestLoader:
    """Read batches by request, with workers that live as long as the loader.

    Args:
        dataset: answers the requests.
        num_workers: processes; 0 reads in this one.
        largest: bytes of the pictures of the largest batch that is expected; what is larger, or comes
            while the consumer holds many batches, is sent through a pipe.
        pinned: whether a CUDA device gets the batches: copies from pinned memory do not block.
    """

    def __init__(
        self, dataset: PictureDataset, num_workers: int, largest: int = 0, pinned: bool = False
    ) -> None:
        self._dataset = dataset
        self._workers = Workers(partial(_render, dataset), num_workers, largest) if num_workers else None
        self._pinned = pinned

    def read(self, requests: Iterable[Request]) -> Iterator[Batch]:
        """Yield a batch per request, in order; one reading at a time."""
        batches = self._batches(requests)
        yield from pinned(batches) if self._pinned else batches

    def close(self) -> None:
        """End the workers; the next reading starts new ones."""
        if self._workers is not None:
            self._workers.close()

    def _batches(self, requests: Iterable[Request]) -> Iterator[Batch]:
        if self._workers is None:
            return map(self._dataset.__getitem__, requests)
        return map(self._batch, self._workers.map(requests))

    def _batch(self, answer: Answer[Request]) -> Batch:
        request, images, memory = answer
        pictures = self._dataset.shaped(memory, request) if images is None else images
        return self._dataset.batch(request, pictures)


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


def pinned(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Yield batches in pinned memory; a thread copies them there, one ahead of the consumer."""
    device = torch.cuda.current_device()
    with ThreadPoolExecutor(1, initializer=torch.cuda.set_device, initargs=(device,)) as thread:
        before: Future[Batch] | None = None
        for batch in batches:
            copied = thread.submit(batch.pin_memory)
            # The batch before goes out while the thread copies this one.
            if before is not None:
                yield before.result()
            before = copied
        if before is not None:
            yield before.result()


def _render(dataset: PictureDataset, request: Request, memory: Memory) -> Picture | None:
    """Write the pictures of a request to `memory`, or return them if they do not fit there."""
    fits = dataset.num_bytes(request) <= len(memory)
    images = dataset.shaped(memory, request) if fits else dataset.empty(request)
    dataset.render(request, images)
    return None if fits else images
