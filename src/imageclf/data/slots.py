"""Memory shared with worker processes, used again and again.

New shared memory for every batch would have to be cleared and mapped page by page, and a pipe copies
what it carries: training pictures would come at half to two thirds of the rate.
"""

import mmap
import weakref

import numpy as np
from numpy.typing import NDArray

Memory = NDArray[np.uint8]


class Slots:
    """Slots of shared memory, made before the processes are forked, which inherit it.

    A slot is reserved when work is sent out, written to by a worker, lent to the consumer of the result,
    and free again when the last array or tensor that looks at it is gone.

    Args:
        count: number of slots.
        capacity: bytes of each; 0: there are no slots, and an object of this kind can be pickled.
    """

    def __init__(self, count: int, capacity: int) -> None:
        self._capacity = capacity
        # Anonymous: it needs no room in /dev/shm, of which containers have little.
        self._memory = mmap.mmap(-1, count * capacity) if capacity else bytearray()
        self._free = list(range(count if capacity else 0))

    def reserve(self) -> int | None:
        """Return a free slot, or None if there is none."""
        return self._free.pop() if self._free else None

    def memory(self, slot: int | None) -> Memory:
        """Return the memory of a slot; it is empty for None."""
        if slot is None:
            return np.empty(0, dtype=np.uint8)
        return np.frombuffer(self._memory, np.uint8, self._capacity, slot * self._capacity)

    def lend(self, slot: int | None) -> Memory:
        """Return the memory of a reserved slot, which is free again when the last view of it is gone."""
        memory = self.memory(slot)
        if slot is not None:
            # NumPy's views of this array keep the array itself alive, as its base is no array.
            weakref.finalize(memory, self._free.append, slot).atexit = False
        return memory
