"""A sweep on one machine: its jobs run in a process each, so that no job can harm the next."""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from itertools import chain
from pathlib import Path

import torch
from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn
from omegaconf import DictConfig

from imageclf import InputError, Preempted
from imageclf.launch.job_process import run_job
from imageclf.launch.jobs import Job, compose_jobs, job_return, set_up
from imageclf.launch.pool import open_pool
from imageclf.launch.shares import Share, split_machine, visible_gpus
from imageclf.launch.slurm.requeue import requeue_when_preempted
from imageclf.launch.start import score_of
from imageclf.launch.sweep_folder import goes_on, remove_refused, write_multirun
from imageclf.launch.tasks import refuse_sweep
from imageclf.system.command_line import override
from imageclf.system.errors import Failure
from imageclf.system.machine import available_cores
from imageclf.system.printable import show
from imageclf.system.progress import track
from imageclf.system.signals import ending
from imageclf.system.world import World
from imageclf.training.failure import FILE, write_failure
from imageclf.training.parts.accelerator import num_ranks

log = logging.getLogger(__name__)

# Its optimized metric, or why it failed.
Result = float | Failure | None


def launch(
    loader: ConfigLoader,
    config: DictConfig,
    job_overrides: Sequence[Sequence[str]],
    first: int,
    n_jobs: int | None,
) -> list[JobReturn]:
    """Run a batch of jobs, and return how each ended.

    `n_jobs` run at a time: without a number as many as there are GPUs for, or one. The others are as in
    `compose_jobs`.

    Raises:
        InputError: a mistake in any of the jobs, or srun or torchrun started several tasks; none has started.
        Preempted: a signal ended the sweep.
    """
    _begin(config)
    sweep_dir = Path(str(config.hydra.sweep.dir))
    try:
        jobs = compose_jobs(loader, config, job_overrides, first)
        shares = _shares(jobs, n_jobs)
    except InputError:
        remove_refused(sweep_dir)
        raise
    write_multirun(config, sweep_dir)
    results: dict[int, Result] = {}
    for job in jobs:
        if goes_on(job.plain["ckpt_path"]) and (job.run_dir / "summary.json").exists():
            log.info("job %d is finished already", job.number)
            results[job.number] = score_of(job.run_dir, job.plain["optimized_metric"])
    unfinished = [job for job in jobs if job.number not in results]
    with requeue_when_preempted(), _saying_how_to_go_on(sweep_dir):
        for job, result in run_jobs(iter(unfinished), shares, len(unfinished)):
            results[job.number] = result
    # Scripts take the last line of the output for the folder.
    show(sweep_dir.absolute())
    ended = [(job, results[job.number]) for job in jobs]
    return [job_return(job, job.error(end) if isinstance(end, Failure) else end) for job, end in ended]


def stream(config: DictConfig, n_jobs: int | None, jobs: Iterator[Job]) -> Iterator[tuple[Job, Result]]:
    """Run jobs that are asked for one by one, whenever one can start, and yield each as it ends.

    All of them ask for as many GPUs as the first; `n_jobs` as in `launch`.

    Raises:
        InputError: srun or torchrun started several tasks.
        Preempted: a signal ended the sweep.
    """
    _begin(config)
    sweep_dir = Path(str(config.hydra.sweep.dir))
    first = next(jobs, None)
    if first is None:
        return
    write_multirun(config, sweep_dir)
    with requeue_when_preempted(), _saying_how_to_go_on(sweep_dir):
        yield from run_jobs(chain([first], jobs), _shares([first], n_jobs), None)


def _begin(config: DictConfig) -> None:
    refuse_sweep(World.of_process())
    set_up(config)


@contextmanager
def _saying_how_to_go_on(sweep_dir: Path) -> Iterator[None]:
    """Add to what a signal ends the block with how the sweep goes on."""
    try:
        yield
    except (Preempted, KeyboardInterrupt) as error:
        remedy = f"go on with the same command and {override('resume_sweep', sweep_dir)}"
        raise type(error)(f"{str(error) or 'ended by Ctrl-C'}; {remedy}") from error


def run_jobs(jobs: Iterator[Job], shares: Sequence[Share], count: int | None) -> Iterator[tuple[Job, Result]]:
    """Run jobs, as many at a time as there are shares, and yield each with its result as it ends.

    The next job is asked for once it can start. Without `count` nobody knows yet how many there are.

    Raises:
        Preempted: a signal came. The running jobs received it too and have ended; the others did not start.
        KeyboardInterrupt: the signal was Ctrl-C. After a second one the running jobs are killed.
    """
    free = deque(shares)
    running: dict[int, tuple[Job, Share]] = {}
    with open_pool() as pool, _tracked(count, len(shares)) as advance:
        while True:
            while free and not pool.signals and (job := next(jobs, None)):
                share = free.popleft()
                running[job.number] = job, share
                log.info("%s starts in %s", job.name, job.run_dir)
                (job.run_dir / FILE).unlink(missing_ok=True)
                work = partial(run_job, job, quiet=len(shares) > 1)
                pool.start(job.number, work, **share.environment)
            if not running:
                break
            for number, result in pool.wait().items():
                job, share = running.pop(number)
                free.append(share)
                _report(job, result)
                advance(1)
                yield job, result
        if pool.signals:
            raise ending(pool.signals[0])


def _tracked(jobs: int | None, at_once: int) -> AbstractContextManager[Callable[[int], object]]:
    """Show how many jobs are done; where one runs at a time, it shows itself."""
    if at_once == 1 or jobs is None:
        return nullcontext(lambda count: None)
    return track(f"sweep, {at_once} runs at a time", jobs, "runs")


def _report(job: Job, result: Result) -> None:
    """Log how a job ended, and write failed.json if the job could not."""
    if not isinstance(result, Failure):
        log.info("%s is done%s", job.name, "" if result is None else f": {result:.4g}")
        return
    log.info("%s: %s: %s", job.name, result.status, result.line)
    # What is refused has recorded it, unless the directory is that of another run, which may be training.
    if result.status != "input" and not (job.run_dir / FILE).exists():
        write_failure(job.run_dir, result)


def _shares(jobs: Sequence[Job], n_jobs: int | None) -> list[Share]:
    trainers = [job.plain["trainer"] for job in jobs]
    on_cpu = all(trainer.get("accelerator") == "cpu" for trainer in trainers)
    gpus = [] if on_cpu else visible_gpus()
    ranks = max(map(num_ranks, trainers))
    return split_machine(n_jobs, gpus, ranks, torch.get_num_threads(), available_cores())
