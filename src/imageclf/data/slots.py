"""Memory that workers write their batches to, used again and again.

torch gives every batch of a worker new shared memory: for a batch of 64 pictures of 224 pixels the
kernel clears and maps 2,400 pages, which takes as long as a quarter of all other work.
"""

import mmap
import weakref
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imageclf.data.batch import Batch

_known: "weakref.WeakValueDictionary[int, Slots]" = weakref.WeakValueDictionary()


@dataclass(frozen=True)
class Filled:
    """What a worker sends in place of a batch: where its pictures are.

    Args:
        slots: which slots, by their number.
        slot: which of them.
        shape: of the pictures, `[B, H, W, 3]`.
        labels: `[B]`.
        rows: `[B]`.
        weight: as in a batch.
        total: likewise.
    """

    slots: int
    slot: int
    shape: tuple[int, ...]
    labels: NDArray[np.int64]
    rows: NDArray[np.int64]
    weight: float = 1.0
    total: int = 0

    def batch(self) -> Batch:
        """Return the batch; the slot is free again when nothing looks at its pictures any more."""
        images = _known[self.slots].lend(self.slot, self.shape).permute(0, 3, 1, 2)
        labels, rows = torch.from_numpy(self.labels), torch.from_numpy(self.rows)
        return Batch(images, None, labels, rows, self.weight, self.total)

    def pin_memory(self) -> Batch:
        """Return the batch in pinned memory; torch's pinning thread calls this where there is a GPU."""
        batch = self.batch()
        images = None if batch.images is None else batch.images.pin_memory()
        return batch._replace(images=images, labels=batch.labels.pin_memory(), rows=batch.rows.pin_memory())


class Slots:
    """Slots of shared memory, made before the workers are forked.

    A slot is taken when a batch is ordered, written to by a worker, lent to whoever iterates, and free
    again when the last tensor that looks at it is gone.

    Args:
        number: of the slots.
        capacity: bytes of each.
    """

    def __init__(self, number: int, capacity: int) -> None:
        self.capacity = capacity
        # Anonymous: it needs no room in /dev/shm, of which containers have little.
        self._memory = np.frombuffer(mmap.mmap(-1, number * capacity), dtype=np.uint8)
        self._taken: set[int] = set()
        self._lent: set[int] = set()
        self._number = number
        self.number = max(_known, default=-1) + 1
        _known[self.number] = self

    def take(self, shape: tuple[int, ...]) -> int | None:
        """Return a free slot for pictures of a shape, or None where none is free or large enough."""
        busy = self._taken | self._lent
        slot = next((slot for slot in range(self._number) if slot not in busy), None)
        if slot is None or np.prod(shape) > self.capacity:
            return None
        self._taken.add(slot)
        return slot

    def forget(self) -> None:
        """Free the slots of batches that were ordered and will not be fetched."""
        self._taken.clear()

    def array(self, slot: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return a slot's memory in a shape."""
        start = slot * self.capacity
        return self._memory[start : start + int(np.prod(shape))].reshape(shape)

    def lend(self, slot: int, shape: tuple[int, ...]) -> Tensor:
        """Return a slot's memory as a tensor; the slot is free again when the last view of it is gone."""
        array = self.array(slot, shape)
        self._lent.add(slot)
        self._taken.discard(slot)
        # The tensor's storage, which all its views share, keeps this very array alive.
        weakref.finalize(array, self._lent.discard, slot).atexit = False
        return torch.from_numpy(array)
