"""Signals: preemption and Ctrl-C. A handler sets a flag or raises; nothing is ever saved inside one.

Here because data workers are the lowest part that must answer them: by ignoring them.
"""

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

    def end(self) -> NoReturn:
        """Raise Preempted, and say how to go on."""
        name = self.came.name if self.came else "another rank's signal"
        raise Preempted(f"ended by {name}; go on with hydra.run.dir={self._run_dir} ckpt_path=auto")

    def note(self, number: int, frame: FrameType | None) -> None:
        """Answer a signal that asks the run to end."""
        # A forked process inherits the handler; the signal is its parent's business.
        if os.getpid() != self._pid or self.came is not None:
            return
        self.came = signal.Signals(number)
        if not self.waits:
            self.end()

    def interrupt(self, number: int, frame: FrameType | None) -> None:
        """Answer Ctrl-C."""
        # Python drops what is raised inside a destructor: the next batch raises it again.
        self.interrupted = True
        raise KeyboardInterrupt


@contextmanager
def noted(run_dir: Path, interruptible: bool = True) -> Iterator[Notice]:
    """Note every signal inside the block, and restore handlers and mask afterwards.

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
    """Let signals wait until the block's end; processes started inside never see them unless they ask.

    The mask is this thread's alone. A signal that another thread takes is handled in the main thread all
    the same, so the handlers wait too.
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
    """Let one handler answer signals inside the block, where this thread may say so: the main one."""
    # A handler that is back may raise at once; the others still come back.
    with ExitStack() as undo:
        if threading.current_thread() is threading.main_thread():
            for number in numbers:
                # None is a handler that Python did not install and cannot bring back.
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
    """Raise at the block's end what came inside; a child forked there leaves that to its parent."""
    pid = os.getpid()
    try:
        yield
    finally:
        if os.getpid() == pid:
            for number in came:
                signal.raise_signal(number)
