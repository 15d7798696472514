"""Processes that call a function, and end with this one however it ends."""

import gc
import multiprocessing
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import count
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from multiprocessing.util import Finalize
from typing import Any, Generic, NamedTuple, TypeVar

import torch

from imageclf import InputError
from imageclf.data.slots import Memory, Slots
from imageclf.system.errors import RunError
from imageclf.system.processes import end_with_parent, start_tracker
from imageclf.system.signals import blocked, ignore, signal_name

# Items under way for each process: the result that is needed next may take longer than those behind it.
AHEAD = 2

Item = TypeVar("Item")


class Answer(NamedTuple, Generic[Item]):
    """An item, what the function returned, and what it wrote, which stays while anything looks at it."""

    item: Item
    result: Any
    memory: Memory


class _Task(NamedTuple, Generic[Item]):
    number: int
    item: Item
    slot: int | None


class _Failure(NamedTuple):
    """What the function raised."""

    error: Exception


class Workers(Generic[Item]):
    """Call a function in processes that live until they are closed.

    Each process computes in one torch thread, and ignores the signals that its parent answers.

    Args:
        function: takes an item and shared memory, which may be too small, for arrays; the rest is
            returned through a pipe. It must be picklable unless processes start by a fork.
        num_processes: how many.
        capacity: bytes of shared memory for one result.
    """

    def __init__(self, function: Callable[[Item, Memory], Any], num_processes: int, capacity: int) -> None:
        start_tracker()
        self._context = multiprocessing.get_context()
        self._function = function
        self._most = AHEAD * num_processes
        self._num_processes = num_processes
        # Without a fork the memory would not be inherited: results go through the pipe.
        is_shared = self._context.get_start_method() == "fork"
        # The consumer looks at one result while it asks for the next.
        self._slots = Slots(self._most + 2, capacity if is_shared else 0)
        self._numbers = count()
        self._pending: deque[_Task[Item]] = deque()
        self._results: dict[int, Any] = {}
        self._processes: dict[Connection, BaseProcess] = {}
        # However this process ends, before Python would terminate the workers, who ignore that, and wait.
        Finalize(self, _kill, (self._processes,), exitpriority=100)

    def map(self, items: Iterable[Item]) -> Iterator[Answer[Item]]:
        """Yield an answer per item, in order; one reading at a time.

        Raises:
            InputError, OSError: as the function raised it.
            RunError: a process was killed.
            RuntimeError: the function failed otherwise.
        """
        if not self._processes:
            self._start()
        # What a reading that was broken off has left.
        while self._pending:
            self._receive()
        for item in items:
            # Received before the next item is sent, and yielded afterwards: the workers are never idle.
            answer = self._receive() if len(self._pending) == self._most else None
            self._send(item)
            if answer is not None:
                yield _checked(answer)
        while self._pending:
            yield _checked(self._receive())

    def close(self) -> None:
        """Kill the processes, which have nothing to finish; the next reading starts new ones."""
        _kill(self._processes)
        for task in self._pending:
            # Lent to nobody, its slot is free again.
            self._slots.lend(task.slot)
        self._pending.clear()
        self._results.clear()

    def _start(self) -> None:
        self._tasks: Queue[_Task[Item]] = self._context.Queue()
        # What has not been sent when this process ends is of no use.
        self._tasks.cancel_join_thread()
        # Until they ignore signals, workers must not see them.
        with blocked():
            for _ in range(self._num_processes):
                receiver, sender = self._context.Pipe(duplex=False)
                arguments = (self._function, self._tasks, self._slots, receiver, sender)
                process = self._context.Process(target=_work, args=arguments, daemon=True)
                process.start()
                # Held by the worker alone, it closes when that ends.
                sender.close()
                self._processes[receiver] = process

    def _send(self, item: Item) -> None:
        task = _Task(next(self._numbers), item, self._slots.reserve())
        self._pending.append(task)
        self._tasks.put(task)

    def _receive(self) -> Answer[Item]:
        """Wait for the result that is next in order."""
        number, item, slot = self._pending[0]
        while number not in self._results:
            for receiver in wait(list(self._processes)):
                assert isinstance(receiver, Connection)
                self._results.update([_message(receiver, self._processes[receiver])])
        self._pending.popleft()
        return Answer(item, self._results.pop(number), self._slots.lend(slot))


def _checked(answer: Answer[Item]) -> Answer[Item]:
    if isinstance(answer.result, _Failure):
        raise answer.result.error
    return answer


def _message(receiver: Connection, process: BaseProcess) -> tuple[int, Any]:
    try:
        message: tuple[int, Any] = receiver.recv()
    except (EOFError, OSError):
        process.join()
        code = process.exitcode or 0
        how = f"was killed by {signal_name(-code)}" if code < 0 else f"ended with code {code}"
        raise RunError(
            f"a process that reads pictures {how}: the machine may have run out of memory; give fewer "
            "workers by data.num_workers (0: none), or smaller batches by data.batch_size"
        ) from None
    return message


def _work(
    function: Callable[[Item, Memory], Any],
    tasks: "Queue[_Task[Item]]",
    slots: Slots,
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
            number, item, slot = tasks.get()
            sender.send((number, _call(function, item, slots.memory(slot))))


def _call(function: Callable[[Item, Memory], Any], item: Item, memory: Memory) -> Any:
    try:
        return function(item, memory)
    except (InputError, OSError) as error:
        # Their messages say all; of other errors the traceback would be lost on its way through the pipe.
        return _Failure(error)
    except Exception:
        return _Failure(RuntimeError(f"a process that reads pictures failed:\n{traceback.format_exc()}"))


def _kill(processes: dict[Connection, BaseProcess]) -> None:
    # They ignore whatever is gentler.
    with blocked():
        for process in processes.values():
            process.kill()
        for receiver, process in processes.items():
            process.join()
            receiver.close()
        processes.clear()
