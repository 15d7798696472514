"""The jobs of a sweep, a process each: what one leaves in memory, or dies of, is nothing to the next."""

import logging
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from imageclf import Preempted
from imageclf.launch.job import Job, Outcome, Task, work
from imageclf.launch.shares import Share
from imageclf.system.errors import FAILED, PREEMPTED
from imageclf.system.processes import Child, fork_server, last_message, surroundings, wait_for_ends
from imageclf.training.failure import FILE, Failure, write_failure

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Running:
    job: Job
    share: Share
    child: Child


def run_jobs(jobs: Sequence[Job], shares: Sequence[Share], task: Task) -> dict[int, Outcome]:
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
            each.child[0].terminate()
        while running:
            _collect(running, outcomes)
        raise
    finally:
        for each in running.values():
            each.child[0].kill()
            each.child[0].join()
    return outcomes


def _start(
    job: Job,
    share: Share,
    quiet: bool,
    task: Task,
    running: dict[int, _Running],
) -> None:
    context = fork_server()
    receiver, sender = context.Pipe(duplex=False)
    given = surroundings(**share.environment)
    process = context.Process(target=work, args=(job, task, given, quiet, sender))
    (job.run_dir / FILE).unlink(missing_ok=True)
    log.info("%s starts in %s", job.name, job.run_dir)
    process.start()
    sender.close()
    running[job.number] = _Running(job, share, (process, receiver))


def _collect(running: dict[int, _Running], outcomes: dict[int, Outcome]) -> list[Share]:
    """Wait until jobs end, note how, and return what they no longer use."""
    freed = []
    for number in wait_for_ends({number: each.child for number, each in running.items()}):
        ended = running.pop(number)
        outcome = last_message(ended.child) or _without_message(ended.child[0].exitcode)
        outcomes[number] = outcome
        _note(ended.job, outcome)
        freed.append(ended.share)
    return freed


def _without_message(exitcode: int | None) -> Outcome:
    """Return how a job ended that has sent nothing, as one that was killed."""
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
