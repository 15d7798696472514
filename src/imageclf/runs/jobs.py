"""The jobs of a sweep, a process each: what one leaves in memory, or dies of, is nothing to the next."""

import logging
import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from types import FrameType

from hydra.core.utils import run_job, setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig, read_write

from imageclf import Preempted
from imageclf.configs.entry import FAILED, INTERRUPTED, MISTAKE, PREEMPTED
from imageclf.runs.failure import FILE, Failure, failure_of, write_failure
from imageclf.runs.processes import Surroundings, enter, fork_server, surroundings
from imageclf.runs.shares import Share

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One run of a sweep.

    Args:
        number: in the sweep.
        name: number and those overrides that tell it from the others, for messages.
        overrides: all of its own, as Hydra got them.
        config: composed, with its hydra node.
        run_dir: where it trains.
    """

    number: int
    name: str
    overrides: tuple[str, ...]
    config: DictConfig
    run_dir: Path


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Args:
        value: its optimized metric, of a job that is done.
        failure: of one that is not; None too after Ctrl-C.
        code: what the job would have exited with by itself.
    """

    value: float | None = None
    failure: Failure | None = None
    code: int = 0


@dataclass(frozen=True)
class _Running:
    job: Job
    share: Share
    process: ForkServerProcess
    receiver: Connection


def run_jobs(
    jobs: Sequence[Job], shares: Sequence[Share], task: Callable[[DictConfig], float | None]
) -> dict[int, Outcome]:
    """Go through all jobs, as many at a time as there are shares, whatever becomes of each.

    Args:
        jobs: in the order in which they start.
        shares: what of the machine each of the jobs running at a time may use.
        task: what a job does, a function of a module.

    Returns:
        How each ended, by its number.

    Raises:
        KeyboardInterrupt: Ctrl-C; the jobs are killed.
        Preempted: SIGTERM; the running jobs got it too and have ended, the others did not start.
    """
    waiting, free = deque(jobs), deque(shares)
    running: dict[int, _Running] = {}
    outcomes: dict[int, Outcome] = {}
    try:
        with _raising_at_sigterm():
            while waiting or running:
                while waiting and free:
                    _start(waiting.popleft(), free.popleft(), len(shares) > 1, task, running)
                free.extend(_collect(running, outcomes))
    except Preempted:
        for each in running.values():
            each.process.terminate()
        while running:
            _collect(running, outcomes)
        raise
    finally:
        for each in running.values():
            each.process.kill()
            each.process.join()
    return outcomes


def _start(
    job: Job,
    share: Share,
    quiet: bool,
    task: Callable[[DictConfig], float | None],
    running: dict[int, _Running],
) -> None:
    context = fork_server()
    receiver, sender = context.Pipe(duplex=False)
    given = surroundings(**share.environment)
    process = context.Process(target=_run, args=(job, task, given, quiet, sender))
    (job.run_dir / FILE).unlink(missing_ok=True)
    log.info("%s starts in %s", job.name, job.run_dir)
    process.start()
    sender.close()
    running[process.sentinel] = _Running(job, share, process, receiver)


def _collect(running: dict[int, _Running], outcomes: dict[int, Outcome]) -> list[Share]:
    """Wait until jobs end, note how, and return what they no longer use."""
    freed = []
    for sentinel in wait(list(running)):
        ended = running[sentinel]  # type: ignore[index]
        ended.process.join()
        outcome = _outcome(ended.process.exitcode, ended.receiver)
        outcomes[ended.job.number] = outcome
        _note(ended.job, outcome)
        del running[sentinel]  # type: ignore[arg-type]
        freed.append(ended.share)
    return freed


def _outcome(exitcode: int | None, receiver: Connection) -> Outcome:
    """Return what a process has sent; one that was killed has sent nothing."""
    try:
        outcome: Outcome = receiver.recv()
        return outcome
    except EOFError:
        pass
    if exitcode == -signal.SIGTERM:
        return Outcome(failure=Failure("preempted", PREEMPTED, "ended by SIGTERM"), code=PREEMPTED)
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name
        return Outcome(
            failure=Failure("killed", FAILED, f"ended by {name}; was it out of memory?"), code=FAILED
        )
    return Outcome(failure=Failure("failed", FAILED, f"ended with code {exitcode}"), code=FAILED)


def _note(job: Job, outcome: Outcome) -> None:
    """Say how a job ended, and write it down where the job could not."""
    if outcome.code == 0:
        log.info("%s is done%s", job.name, "" if outcome.value is None else f": {outcome.value:.4g}")
    elif outcome.failure is None:
        log.info("%s was interrupted", job.name)
    else:
        log.info("%s: %s: %s", job.name, outcome.failure.status, outcome.failure.line)
        if not (job.run_dir / FILE).exists():
            write_failure(job.run_dir, outcome.failure)


@contextmanager
def _raising_at_sigterm() -> Iterator[None]:
    """Raise Preempted at the first SIGTERM, and ignore further ones."""

    def stop(number: int, frame: FrameType | None) -> None:
        """Raise once."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise Preempted("ended by SIGTERM")

    # Only the main thread may say what happens at a signal.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(
    job: Job,
    task: Callable[[DictConfig], float | None],
    given: Surroundings,
    quiet: bool,
    sender: Connection,
) -> None:
    """Do one job in its own process, as Hydra does it."""
    enter(given)
    try:
        if quiet:
            _write_into(job)
        value = _call(job, task)
    except BaseException as error:
        failure = failure_of(error)
        code = INTERRUPTED if failure is None else failure.exit_code
        if failure is not None:
            log.error("%s", failure.line if code in (MISTAKE, PREEMPTED) else traceback.format_exc())
        sender.send(Outcome(failure=failure, code=code))
        sys.exit(code)
    sender.send(Outcome(value=value))


def _call(job: Job, task: Callable[[DictConfig], float | None]) -> float | None:
    # Imported here, in the job's process: Hydra's own callbacks may be anybody's code.
    from hydra._internal.callbacks import Callbacks

    setup_globals()
    context = HydraContext(config_loader=None, callbacks=Callbacks(job.config))  # type: ignore[arg-type]
    result = run_job(
        task_function=task,
        config=job.config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
        hydra_context=context,
    )
    value: float | None = result.return_value
    return value


def _write_into(job: Job) -> None:
    """Send what the process prints to the job's log alone: lines of several jobs would mix."""
    job.run_dir.mkdir(parents=True, exist_ok=True)
    path = job.run_dir / f"{job.config.hydra.job.name}.log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    # Hydra's handler of the console would write each message there a second time.
    root = job.config.hydra.job_logging.root
    with read_write(root):
        root.handlers = [name for name in root.handlers if name != "console"]
