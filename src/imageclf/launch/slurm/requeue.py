"""Put a preempted job back into SLURM's queue, once, after its training has ended.

A job that submitit started is requeued by submitit's signal handler, which counts the timeouts. One that was
submitted by hand is requeued here.
"""

import logging
import multiprocessing
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from imageclf import Preempted
from imageclf.system.signals import Handler, ignore
from imageclf.system.world import Environment, World, job_id

log = logging.getLogger(__name__)

Way = Literal["launcher", "scontrol", "first rank", "none"]

# Seconds for SLURM to end this process. If it exited earlier, the first task might end before the requeue.
_GRACE = 30.0


def way_to_requeue(environment: Environment, previous: Handler) -> Way:
    """Return who requeues the job of this process; `previous` handled SIGUSR2 or SIGUSR1 before us."""
    # That of submitit, which has started the job.
    if callable(previous):
        return "launcher"
    # This is no job of SLURM.
    if job_id(environment) is None:
        return "none"
    # Once for all processes of the job.
    return "scontrol" if World.of(environment).rank == 0 else "first rank"


@contextmanager
def requeue_when_preempted() -> Iterator[None]:
    """Requeue the job if the block raises Preempted, which is raised again.

    A sweep's jobs leave it to their parent, which waits until all of them have saved.
    """
    if multiprocessing.parent_process() is not None:
        yield
        return
    previous = launcher_handler()
    try:
        yield
    except Preempted:
        # The run is saved. A further signal would end the process before it has requeued.
        ignore()
        _requeue(way_to_requeue(os.environ, previous), previous)
        raise


def launcher_handler() -> Handler:
    """Return the handler that a launcher installed for SIGUSR2 or SIGUSR1, or None."""
    handlers = (signal.getsignal(number) for number in (signal.SIGUSR2, signal.SIGUSR1))
    return next((handler for handler in handlers if callable(handler)), None)


def is_left_to_slurm(state: str) -> bool:
    """Return whether a job in this state must not be requeued; SLURM does that itself, or nobody is to.

    scancel and a preemption both send SIGTERM. A job that is cancelled, timed out or already requeued is no
    longer RUNNING when it arrives; an unknown state is no reason to lose the run.

    `state` is as squeue prints it, or "" where it is unknown.
    """
    return state not in ("RUNNING", "")


def _requeue(way: Way, previous: Handler) -> None:
    # One task asks and requeues for all.
    asks = World.of_process().rank == 0 and job_id(os.environ) is not None
    state = _state_of_job() if asks else ""
    if is_left_to_slurm(state):
        log.info("not requeueing the job, whose state is %s", state)
        return
    if callable(previous) and not _launcher_requeues(previous):
        return
    if way == "scontrol":
        # Of an array, only this task.
        job = str(job_id(os.environ))
        answer = _output(["scontrol", "requeue", job])
        log.info("asked SLURM to requeue job %s%s", job, f": {answer}" if answer else "")
    if way in ("launcher", "first rank"):
        # The requeue ends this process.
        time.sleep(_GRACE)


def _launcher_requeues(handler: Callable[..., Any]) -> bool:
    """Let the launcher requeue the job, and return whether it did: not after too many time limits."""
    try:
        # In the first task it requeues and exits the process; in the others it returns.
        handler(signal.SIGUSR2, None)
    except Exception as error:
        # Preempted, which goes on from here, names the command that goes on.
        log.warning("the job is not requeued: %s", error)
        return False
    return True


def _state_of_job() -> str:
    state = _output(["squeue", "--noheader", "--format=%T", f"--jobs={job_id(os.environ)}"])
    # Anything else is a complaint of squeue.
    return state if state.isupper() and state.replace("_", "").isalpha() else ""


def _output(command: list[str]) -> str:
    """Return what a command prints, errors included; nothing if there is no such command."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        log.warning("%s: %s", command[0], error)
        return ""
    return (done.stdout + done.stderr).strip()
