"""Map a function over items, in processes where there is enough to do."""

import multiprocessing
import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, TypeVar

from imageclf.data.slots import Memory
from imageclf.data.workers import Workers
from imageclf.system.machine import available_cores

Item = TypeVar("Item")
Result = TypeVar("Result")

# Fewer and smaller files are decoded by the time that processes have started.
_MANY_FILES = 500
_MANY_BYTES = 2**24


def num_processes(paths: Sequence[str]) -> int:
    """Return how many processes to start to decode files; 0: none are worth it."""
    # Daemons may not start processes.
    if multiprocessing.current_process().daemon or not _are_many(paths):
        return 0
    cores = available_cores()
    return cores if cores > 1 else 0


def chunks(total: int, size: int) -> list[range]:
    """Cut the positions from 0 to `total` into ranges of at most `size`.

    >>> chunks(5, 2)
    [range(0, 2), range(2, 4), range(4, 5)]
    """
    return [range(start, min(start + size, total)) for start in range(0, total, size)]


@contextmanager
def mapped(
    function: Callable[[Item], Result], items: Sequence[Item], processes: int, array_bytes: int = 0
) -> Iterator[Iterator[Result]]:
    """Yield an iterator over the results of a function, in the order of the items.

    It raises what `Workers.map` raises. With 0 `processes` this one calls the function. `array_bytes` is the
    shared memory for the arrays of one result; larger ones are sent through a pipe.
    """
    if processes == 0:
        yield map(function, items)
        return
    workers = Workers(partial(_packed, function=function), processes, array_bytes)
    try:
        yield (_unpacked(answer.result, answer.memory) for answer in workers.map(items))
    finally:
        workers.close()


def _packed(item: Item, memory: Memory, function: Callable[[Item], Any]) -> tuple[bytes, list[int]]:
    """Return a pickled result, and the bytes of each of its arrays that are in `memory`: all or none."""
    result = function(item)
    buffers: list[pickle.PickleBuffer] = []
    content = pickle.dumps(result, protocol=5, buffer_callback=buffers.append)
    arrays = [buffer.raw() for buffer in buffers]
    lengths = [len(array) for array in arrays]
    if sum(lengths) > len(memory):
        # Pickled once more, with the arrays inside.
        return pickle.dumps(result), []
    for part, array in zip(_parts(memory, lengths), arrays, strict=True):
        part[:] = array
    return content, lengths


def _unpacked(packed: tuple[bytes, list[int]], memory: Memory) -> Any:
    content, lengths = packed
    return pickle.loads(content, buffers=_parts(memory, lengths))


def _parts(memory: Memory, lengths: Sequence[int]) -> list[memoryview]:
    view, ends = memory.data, accumulate(lengths)
    return [view[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def _are_many(paths: Sequence[str]) -> bool:
    return len(paths) >= _MANY_FILES or any(size > _MANY_BYTES for size in accumulate(map(_num_bytes, paths)))


def _num_bytes(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:  # Decoding reports what is wrong with it.
        return 0
