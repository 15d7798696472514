"""One job of a sweep, and what its process does."""

import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from hydra.core.utils import run_job, setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig, read_write

from imageclf.system.errors import INTERRUPTED, MISTAKE, PREEMPTED
from imageclf.system.processes import Surroundings, enter
from imageclf.system.signals import PREEMPTING
from imageclf.training.failure import Failure, failure_of

log = logging.getLogger(__name__)

Task = Callable[[DictConfig], float | None]


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


def work(
    job: Job,
    task: Task,
    given: Surroundings,
    quiet: bool,
    sender: Connection,
) -> None:
    """Do one job in its own process, as Hydra does it."""
    # The fork server may come from a process that ignored Ctrl-C; a job answers it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    enter(given)
    # A job that has not begun to train has nothing to save: a signal ends it.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PREEMPTING)
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


def _call(job: Job, task: Task) -> float | None:
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
