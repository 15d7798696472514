"""Results of other processes, their arrays in memory that both sides see."""

import mmap
import pickle
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple


class Message(NamedTuple):
    """A result on its way.

    Args:
        number: of the result.
        content: the result, pickled without the arrays that are in shared memory.
        lengths: bytes of each of these.
    """

    number: int
    content: bytes
    lengths: list[int]


class SharedMemory:
    """Slots for the arrays of results, taken in turn; made before the processes, who inherit it by a fork.

    A pipe would copy each array four times, and new memory for each result would have to be cleared.

    Args:
        slots: results that may be under way at once.
        capacity: bytes of each slot; 0: all arrays are sent with the rest.
    """

    def __init__(self, slots: int, capacity: int) -> None:
        self.slots = slots
        self._capacity = capacity
        # Anonymous: it needs no room in /dev/shm, of which containers have little.
        self._memory = mmap.mmap(-1, slots * capacity) if capacity else bytearray()

    def pack(self, number: int, result: Any) -> Message:
        """Return the message with a result, its arrays put into the slot if they fit."""
        arrays: list[pickle.PickleBuffer] = []
        content = pickle.dumps(result, protocol=5, buffer_callback=arrays.append)
        views = [array.raw() for array in arrays]
        lengths = [len(view) for view in views]
        if sum(lengths) > self._capacity:
            return Message(number, pickle.dumps(result), [])
        for place, view in zip(self._places(number, lengths), views, strict=True):
            place[:] = view
        return Message(number, content, lengths)

    def unpack(self, message: Message) -> Any:
        """Return the result; its arrays are overwritten with the slot."""
        return pickle.loads(message.content, buffers=self._places(message.number, message.lengths))

    def _places(self, number: int, lengths: Sequence[int]) -> list[memoryview]:
        start = number % self.slots * self._capacity
        ends = accumulate(lengths, initial=start)
        memory = memoryview(self._memory)
        return [memory[end : end + length] for end, length in zip(ends, lengths, strict=False)]
