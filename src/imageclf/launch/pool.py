"""Processes of the fork server that run side by side: the ranks of a run, the jobs of a sweep."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from imageclf.system.errors import FAILED, PREEMPTED, Failure
from imageclf.system.processes import fork_server, prepare_child
from imageclf.system.signals import PREEMPTING, blocked, forwarded, ignore, signal_name
from imageclf.training.failure import failure_of

T = TypeVar("T")


class Child(NamedTuple):
    """A process, and the end of the pipe that its result arrives at."""

    process: ForkServerProcess
    receiver: Connection


@dataclass(frozen=True)
class Pool(Generic[T]):
    """Processes by number; each calls one function.

    Args:
        running: those that have not ended yet.
        signals: forwarded to them so far.
    """

    running: dict[int, Child]
    signals: list[signal.Signals]

    def start(self, number: int, function: Callable[[], T], **environment: str) -> None:
        """Start a process.

        The function can be pickled, as can what it returns. `environment` has the variables that
        differ from those of this process.
        """
        context = fork_server()
        receiver, sender = context.Pipe(duplex=False)
        surroundings = ({**os.environ, **environment}, str(Path.cwd()))
        process = context.Process(target=_work, args=(function, *surroundings, sender))
        # A signal in between would neither be forwarded to the process nor end it.
        with blocked():
            process.start()
            assert process.pid is not None
            self.running[number] = Child(process, receiver)
            # One that came while the caller was about to start it is for this process as well.
            for came in self.signals:
                os.kill(process.pid, came)
        # Only the process holds it now, so that the pipe ends when the process does.
        sender.close()

    def wait(self) -> dict[int, T | Failure]:
        """Wait until processes end, and return what each of them returned or failed with."""
        # Both are waited for: a process whose message fills the pipe does not end before it is read, and one
        # that was killed sends none.
        owners: dict[Any, int] = {}
        for number, (process, receiver) in self.running.items():
            owners |= {process.sentinel: number, receiver: number}
        ended = sorted({owners[each] for each in wait(list(owners))}) if owners else []
        return {number: _result(self.running.pop(number)) for number in ended}

    def join(self, seconds: float) -> None:
        """Wait until all processes have ended, no longer than some seconds."""
        deadline = time.monotonic() + seconds
        for process, _ in self.running.values():
            process.join(max(0.0, deadline - time.monotonic()))


@contextmanager
def open_pool() -> Iterator[Pool[Any]]:
    """Yield an empty pool: signals are forwarded to its processes, and its end kills those that still run.

    Raises:
        KeyboardInterrupt: the second Ctrl-C.
    """
    running: dict[int, Child] = {}
    try:
        with forwarded(lambda: [process.pid for process, _ in running.values() if process.pid]) as signals:
            yield Pool(running, signals)
    finally:
        for process, _ in running.values():
            process.kill()
            process.join()


def _work(
    function: Callable[[], object], environment: dict[str, str], folder: str, sender: Connection
) -> None:
    """Call a function in a new process, and send what it returns or why it failed."""
    # The fork server may come from a process that ignores Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        prepare_child(environment, folder)
        sender.send(function())
    except BaseException as error:
        # What a signal has ended says so; the next one must not keep it from that.
        ignore()
        failure = failure_of(error)
        sender.send(failure)
        sys.exit(failure.exit_code)


def _result(child: Child) -> Any:
    """Return what a process has sent, or how it was killed.

    It is read before the process is joined: a pipe holds 64 KB, and a process does not end before the rest
    of its message is read.
    """
    process, receiver = child
    try:
        # When a process is killed, its data workers may keep the pipe open a little longer: no message comes.
        sent = [receiver.recv()] if receiver.poll() else []
    except EOFError:
        sent = []
    process.join()
    return sent[0] if sent else _killed(process.exitcode)


def _killed(exit_code: int | None) -> Failure:
    if exit_code is not None and exit_code < 0:
        name = signal_name(-exit_code)
        if -exit_code in PREEMPTING:
            return Failure("preempted", PREEMPTED, f"ended by {name}")
        return Failure("killed", FAILED, f"ended by {name}; was it out of memory?")
    return Failure("failed", FAILED, f"ended with exit code {exit_code}")
