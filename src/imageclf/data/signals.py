"""Signals: preemption and Ctrl-C. A handler sets a flag or raises; nothing is ever saved inside one.

Here because data workers are the lowest part that must answer them: by ignoring them.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from imageclf import Preempted

Handler = Callable[[int, FrameType | None], object] | int | None

# What schedulers send before they end a job: SLURM TERM, or USR1 and USR2 where a job asks for them.
PREEMPTING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class Notice:
    """What signals have said to a run so far.

    Outside training nothing is worth saving, and the first signal ends the run at once. Inside, it is
    a flag that waits for the next safe point. Later signals change nothing.

    Args:
        run_dir: of the run, to name in the message; None: a notice that no signal reaches.

    Attributes:
        came: the first signal that asked the run to end, or None.
        interrupted: whether Ctrl-C was pressed.
        waits: whether signals wait for a safe point.
        agreed: whether all ranks know that the run ends here.
    """

    def __init__(self, run_dir: Path | None = None) -> None:
        self._run_dir = run_dir
        self._pid = os.getpid()
        self.came: signal.Signals | None = None
        self.interrupted = False
        self.waits = False
        self.agreed = False

    def listen(self) -> None:
        """Install the handlers, also in the place of those that a library has put there since."""
        # Signals reach the main thread alone, and only it may say what happens then.
        if threading.current_thread() is not threading.main_thread():
            return
        for number in PREEMPTING:
            signal.signal(number, self._note)
        # Where it is ignored, another process decides: the parent of several ranks.
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._interrupt)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PREEMPTING)

    def end(self) -> NoReturn:
        """Raise Preempted, and say how to go on."""
        name = self.came.name if self.came else "another rank's signal"
        raise Preempted(f"ended by {name}; go on with hydra.run.dir={self._run_dir} ckpt_path=auto")

    def _note(self, number: int, frame: FrameType | None) -> None:
        # A forked process inherits the handler; the signal is its parent's business.
        if os.getpid() != self._pid or self.came is not None:
            return
        self.came = signal.Signals(number)
        if not self.waits:
            self.end()

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        # Python drops what is raised inside a destructor: the next batch raises it again.
        self.interrupted = True
        raise KeyboardInterrupt


@contextmanager
def noted(run_dir: Path) -> Iterator[Notice]:
    """Note every signal inside the block, and restore the handlers afterwards."""
    notice = Notice(run_dir)
    before: dict[signal.Signals, Handler] = {
        number: signal.getsignal(number) for number in (*PREEMPTING, signal.SIGINT)
    }
    notice.listen()
    try:
        yield notice
    finally:
        _restore(before)


@contextmanager
def forwarded(pids: Callable[[], Iterable[int]]) -> Iterator[None]:
    """Hand every signal inside the block on to other processes, which decide what it means."""

    def forward(number: int, frame: FrameType | None) -> None:
        """Send a signal on; who has ended needs none."""
        for pid in pids():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[signal.Signals, Handler] = {number: signal.signal(number, forward) for number in PREEMPTING}
    try:
        yield
    finally:
        _restore(before)


@contextmanager
def blocked(numbers: Iterable[int] = PREEMPTING) -> Iterator[None]:
    """Let signals wait until the block's end; processes started inside never see them unless they ask."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def hold_back() -> None:
    """Let signals wait until the next `Notice.listen`."""
    signal.pthread_sigmask(signal.SIG_BLOCK, PREEMPTING)


def ignore(numbers: Iterable[int] = (*PREEMPTING, signal.SIGINT)) -> None:
    """Ignore signals in this process from now on."""
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


def _restore(before: dict[signal.Signals, Handler]) -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    for number, handler in before.items():
        # None is a handler that Python did not install and cannot bring back.
        signal.signal(number, signal.SIG_DFL if handler is None else handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PREEMPTING)
