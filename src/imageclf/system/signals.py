"""Signals: preemption and Ctrl-C. A handler sets a flag or raises; nothing is ever saved inside one."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from imageclf import Preempted
from imageclf.system.command_line import override
from imageclf.system.world import World

Handler = Callable[[int, FrameType | None], object] | int | None

# What schedulers send before they end a job: SLURM sends TERM, or USR1 or USR2 if the job asks for it. A
# terminal that is closed sends HUP.
PREEMPTING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)
# Ctrl-C is answered as they are, except that a second one ends the run at once.
STOPPING = (*PREEMPTING, signal.SIGINT)

_SAVING = "imageclf: saving at the next safe point; press Ctrl-C again to end at once\n"


class Notice:
    """Whether a signal has asked the run to end.

    Outside training nothing is worth saving, and the first signal ends the run at once. During training it
    sets a flag, and the run ends at the next safe point. Later signals are ignored, except that a second
    Ctrl-C ends the run at once, in a process without a parent that decides.

    Args:
        run_dir: of the run, for the message; None: there is no config yet to go on with.

    Attributes:
        came: the signal that asked the run to end, or None.
        at_once: whether the run is to end now, saved or not.
        waits: whether a signal waits for the next safe point.
        agreed: whether all ranks have agreed to end the run here.
    """

    def __init__(self, run_dir: Path | None = None) -> None:
        self._run_dir = run_dir
        self._pid = os.getpid()
        self._leads = _leads()
        self.came: signal.Signals | None = None
        self.at_once = False
        self.waits = False
        self.agreed = False

    def end(self) -> NoReturn:
        """Raise what ends the run, with a message that says how to resume."""
        remedy = "start it again" if self._run_dir is None else f"go on with: {resuming(self._run_dir)}"
        raise ending(self.came, remedy)

    def note(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal that asks the run to end."""
        # A forked process inherits the handler, but the signal is for its parent.
        if os.getpid() != self._pid or not self._counts(number):
            return
        # Python drops exceptions inside a destructor: then the next batch raises it again.
        self.at_once = self.came is not None or not self.waits
        self.came = signal.Signals(number)
        if self.at_once:
            self.end()
        _answer(number)

    def _counts(self, number: int) -> bool:
        return self.came is None or (number == signal.SIGINT and self._leads)


def ending(number: signal.Signals | None, remedy: str = "") -> BaseException:
    """Return what a signal ends a run with: KeyboardInterrupt for Ctrl-C, else Preempted.

    None stands for a signal that another rank got. The `remedy` ends the message.
    """
    is_ctrl_c = number == signal.SIGINT
    name = "another rank's signal" if number is None else "Ctrl-C" if is_ctrl_c else number.name
    sentence = f"ended by {name}; {remedy}".removesuffix("; ")
    return KeyboardInterrupt(sentence) if is_ctrl_c else Preempted(sentence)


def resuming(run_dir: Path) -> str:
    """Return the command that goes on with a run, as a shell takes it.

    >>> resuming(Path("runs/train/1"))
    'imageclf-train hydra.run.dir=runs/train/1 ckpt_path=auto'
    """
    return f"imageclf-train {override('hydra.run.dir', run_dir)} ckpt_path=auto"


@contextmanager
def stop_notice(run_dir: Path | None = None) -> Iterator[Notice]:
    """Handle every signal inside the block, and restore handlers and mask afterwards."""
    notice = Notice(run_dir)
    with _handled(STOPPING, notice.note), _masked(signal.SIG_UNBLOCK, STOPPING):
        yield notice


@contextmanager
def forwarded(pids: Callable[[], Iterable[int]]) -> Iterator[list[signal.Signals]]:
    """Forward the signals that come inside the block to other processes, and yield a list of them.

    A second Ctrl-C is raised instead, where this process leads.
    """
    came: list[signal.Signals] = []
    leads = _leads()

    def forward(number: int, frame: FrameType | None) -> None:
        """Send a signal to each process that has not ended."""
        if number == signal.SIGINT and number in came and leads:
            raise KeyboardInterrupt
        if not came:
            _answer(number)
        came.append(signal.Signals(number))
        for pid in pids():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    with _handled(STOPPING, forward):
        yield came


@contextmanager
def blocked(numbers: Collection[int] = STOPPING) -> Iterator[None]:
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


def ignore(numbers: Iterable[int] = STOPPING) -> None:
    """Ignore signals in this process from now on."""
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


def signal_name(number: int) -> str:
    """Return the name of a signal; most real-time signals have none."""
    return signal.Signals(number).name if number in {*signal.Signals} else f"signal {number}"


def _leads() -> bool:
    """Return whether a second Ctrl-C is this process's to answer, not a parent's of ours or a launcher's.

    A terminal sends Ctrl-C to all of them, and the parent or torchrun sends it once more.
    """
    return multiprocessing.parent_process() is None and World.of_process().size == 1


def _answer(number: int) -> None:
    """Say what the first Ctrl-C does, in one process of all that got it."""
    speaks = multiprocessing.parent_process() is None and World.of_process().rank == 0
    if number == signal.SIGINT and speaks:
        # A handler may interrupt a print, so it must not print. The terminal may be gone.
        with suppress(OSError):
            os.write(2, (f"\n{_SAVING}" if os.isatty(2) else _SAVING).encode())


@contextmanager
def _handled(numbers: Collection[int], handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Install a handler inside the block; outside the main thread Python allows none."""
    # A restored handler may raise at once: the stack restores the others all the same.
    with ExitStack() as undo:
        if threading.current_thread() is threading.main_thread():
            for number in numbers:
                before = signal.getsignal(number)
                # nohup: the run is to outlive its terminal.
                if number == signal.SIGHUP and before == signal.SIG_IGN:
                    continue
                # None is a handler that Python did not install and cannot restore.
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
