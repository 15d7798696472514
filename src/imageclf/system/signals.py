"""Signals: preemption and Ctrl-C. A handler sets a flag or raises; nothing is ever saved inside one."""

import os
import signal
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from imageclf import Preempted

Handler = Callable[[int, FrameType | None], object] | int | None

# What schedulers send before they end a job: SLURM sends TERM, or USR1 or USR2 if the job asks for it.
PREEMPTING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


class Notice:
    """Whether a signal has asked the run to end.

    Outside training nothing is worth saving, and the first signal ends the run at once. During training it
    sets a flag, and the run ends at the next safe point. Later signals are ignored.

    Args:
        run_dir: of the run, for the message; None: there are no signal handlers.

    Attributes:
        came: the first signal that asked the run to end, or None.
        interrupted: whether Ctrl-C was pressed.
        waits: whether a signal waits for the next safe point.
        agreed: whether all ranks have agreed to end the run here.
    """

    def __init__(self, run_dir: Path | None = None) -> None:
        self._run_dir = run_dir
        self._pid = os.getpid()
        self.came: signal.Signals | None = None
        self.interrupted = False
        self.waits = False
        self.agreed = False

    def end(self) -> NoReturn:
        """Raise Preempted with a message that says how to resume."""
        name = self.came.name if self.came else "another rank's signal"
        raise Preempted(f"ended by {name}; go on with hydra.run.dir={self._run_dir} ckpt_path=auto")

    def note(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal that asks the run to end."""
        # A forked process inherits the handler, but the signal is for its parent.
        if os.getpid() != self._pid or self.came is not None:
            return
        self.came = signal.Signals(number)
        if not self.waits:
            self.end()

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Handle Ctrl-C."""
        # Python drops exceptions inside a destructor: then the next batch raises it again.
        self.interrupted = True
        raise KeyboardInterrupt


@contextmanager
def stop_notice(run_dir: Path, interruptible: bool = True) -> Iterator[Notice]:
    """Handle every signal inside the block, and restore handlers and mask afterwards.

    Args:
        run_dir: of the run.
        interruptible: whether Ctrl-C ends this process; False in a rank, whose parent decides.
    """
    notice = Notice(run_dir)
    with (
        _handled((signal.SIGINT,) if interruptible else (), notice.interrupt),
        _handled(PREEMPTING, notice.note),
        _masked(signal.SIG_UNBLOCK, PREEMPTING),
    ):
        yield notice


@contextmanager
def forwarded(pids: Callable[[], Iterable[int]]) -> Iterator[list[signal.Signals]]:
    """Forward the signals that come inside the block to other processes, and yield a list of them."""
    came: list[signal.Signals] = []

    def forward(number: int, frame: FrameType | None) -> None:
        """Send a signal to each process that has not ended."""
        came.append(signal.Signals(number))
        for pid in pids():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    with _handled(PREEMPTING, forward):
        yield came


@contextmanager
def blocked(numbers: Collection[int] = PREEMPTING) -> Iterator[None]:
    """Delay signals until the end of the block. Processes started inside inherit the mask: they get none.

    The mask is only this thread's. A signal that another thread receives still runs its handler in the main
    thread, so the handlers are replaced too.
    """
    came: list[int] = []
    with (
        _masked(signal.SIG_BLOCK, numbers),
        _raised_again(came),
        _handled(numbers, lambda number, frame: came.append(number)),
    ):
        yield


def ignore(numbers: Iterable[int] = (*PREEMPTING, signal.SIGINT)) -> None:
    """Ignore signals in this process from now on."""
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def _handled(numbers: Collection[int], handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Install a handler inside the block; outside the main thread Python allows none."""
    # A restored handler may raise at once: the stack restores the others all the same.
    with ExitStack() as undo:
        if threading.current_thread() is threading.main_thread():
            for number in numbers:
                # None is a handler that Python did not install and cannot restore.
                before = signal.getsignal(number)
                undo.callback(signal.signal, number, signal.SIG_DFL if before is None else before)
                signal.signal(number, handler)
        yield


@contextmanager
def _masked(how: int, numbers: Collection[int]) -> Iterator[None]:
    """Change this thread's mask inside the block."""
    before = signal.pthread_sigmask(how, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _raised_again(came: Iterable[int]) -> Iterator[None]:
    """Raise the signals that came inside the block at its end, but not in a child that was forked inside."""
    pid = os.getpid()
    try:
        yield
    finally:
        if os.getpid() == pid:
            for number in came:
                signal.raise_signal(number)
