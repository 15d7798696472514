"""Map a function over items in processes that end with this one, however it ends."""

import gc
import multiprocessing
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import accumulate
from multiprocessing.connection import Connection, wait
from multiprocessing.context import DefaultContext
from multiprocessing.process import BaseProcess
from multiprocessing.queues import SimpleQueue
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch

from imageclf import InputError
from imageclf.data.shared_memory import Message, SharedMemory
from imageclf.system.machine import available_cores
from imageclf.system.processes import end_with_parent
from imageclf.system.signals import PREEMPTING, blocked, ignore

Item = TypeVar("Item")
Result = TypeVar("Result")

# Results under way for each process: the one that is asked for may take longer than those behind it.
_AHEAD = 2
# Fewer and smaller files are decoded by the time that processes have started.
_MANY_FILES = 500
_MANY_BYTES = 2**24


def num_processes(paths: Sequence[str]) -> int:
    """Return the processes that are worth starting to decode files; 0: this one does it alone."""
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

    Each process has one torch thread, and ignores the signals that its parent answers. An InputError or
    OSError of the function is raised as it is.

    Args:
        function: what cannot be pickled works only where processes start by a fork.
        items: taken by whichever process is free; small, such as numbers.
        processes: how many to start; 0: this one calls the function.
        array_bytes: memory for the arrays of one result, shared with its process: the next result may
            overwrite them. What is larger is sent through a pipe.

    Raises:
        RuntimeError: the function failed otherwise, or a process was killed.
    """
    if processes == 0:
        yield map(function, items)
        return
    context = multiprocessing.get_context()
    shared = SharedMemory(_AHEAD * processes, array_bytes if context.get_start_method() == "fork" else 0)
    tasks: SimpleQueue[tuple[int, Item]] = context.SimpleQueue()
    workers: dict[Connection, BaseProcess] = {}
    # However this process ends, before Python would terminate the workers, who ignore that, and wait.
    end = Finalize(None, _end, (workers,), exitpriority=100)
    try:
        # Until they ignore signals, workers must not see them.
        with blocked((*PREEMPTING, signal.SIGINT)):
            for _ in range(processes):
                _start(context, workers, (function, tasks, shared))
        yield _results(items, tasks, workers, shared)
    finally:
        end()


class _Failure(NamedTuple):
    """What a function raised."""

    error: Exception


def _start(
    context: DefaultContext, workers: dict[Connection, BaseProcess], arguments: tuple[Any, ...]
) -> None:
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(*arguments, receiver, sender), daemon=True)
    process.start()
    # Held by the worker alone, it closes when that ends.
    sender.close()
    workers[receiver] = process


def _work(
    function: Callable[[Any], Any],
    tasks: "SimpleQueue[tuple[int, Any]]",
    shared: SharedMemory,
    receiver: Connection,
    sender: Connection,
) -> None:
    """Answer tasks until killed."""
    ignore()
    end_with_parent()
    receiver.close()
    torch.set_num_threads(1)
    # What the parent has made stays; looking through it would take time, and copy its pages.
    gc.freeze()
    # The pipe breaks when the parent is gone.
    with suppress(BrokenPipeError):
        while True:
            number, item = tasks.get()
            sender.send(shared.pack(number, _call(function, item)))


def _call(function: Callable[[Any], Any], item: Any) -> Any:
    try:
        return function(item)
    except (InputError, OSError) as error:
        return _Failure(error)
    except Exception:
        return _Failure(RuntimeError(f"a process that reads pictures failed:\n{traceback.format_exc()}"))


def _results(
    items: Sequence[Any],
    tasks: "SimpleQueue[tuple[int, Any]]",
    workers: dict[Connection, BaseProcess],
    shared: SharedMemory,
) -> Iterator[Any]:
    messages: dict[int, Message] = {}
    for number in range(len(items) + shared.slots):
        if number >= shared.slots:
            yield _wait_for(number - shared.slots, messages, workers, shared)
        # Only now its slot is free: the result before has been looked at.
        if number < len(items):
            tasks.put((number, items[number]))


def _wait_for(
    number: int, messages: dict[int, Message], workers: dict[Connection, BaseProcess], shared: SharedMemory
) -> Any:
    while number not in messages:
        for receiver in wait(list(workers)):
            assert isinstance(receiver, Connection)
            message = _receive(receiver, workers[receiver])
            messages[message.number] = message
    result = shared.unpack(messages.pop(number))
    if isinstance(result, _Failure):
        raise result.error
    return result


def _receive(receiver: Connection, process: BaseProcess) -> Message:
    try:
        message: Message = receiver.recv()
    except (EOFError, OSError):
        process.join()
        code = process.exitcode or 0
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        raise RuntimeError(f"a process that reads pictures {how}; was it out of memory?") from None
    return message


def _end(workers: dict[Connection, BaseProcess]) -> None:
    # They ignore whatever is gentler, and hold nothing that has to be finished.
    with blocked((*PREEMPTING, signal.SIGINT)):
        for process in workers.values():
            process.kill()
        for receiver, process in workers.items():
            process.join()
            receiver.close()


def _are_many(paths: Sequence[str]) -> bool:
    return len(paths) >= _MANY_FILES or any(size > _MANY_BYTES for size in accumulate(map(_bytes, paths)))


def _bytes(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:  # Decoding says what is wrong with it.
        return 0
