"""A sweep on one machine: all of its jobs are composed and checked before the first one starts."""

import copy
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra.core.config_loader import ConfigLoader
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, configure_log, setup_globals
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from imageclf import InputError, Preempted
from imageclf.configs import JobError, explain, record
from imageclf.launch.job import Job, Outcome
from imageclf.launch.jobs import run_jobs
from imageclf.launch.resumed import forget, keep
from imageclf.launch.shares import Share, deal, visible_gpus
from imageclf.launch.start import check_job, score_of, start
from imageclf.system.machine import available_cores
from imageclf.system.printable import show
from imageclf.system.processes import fork_server
from imageclf.training.parts.accelerator import num_ranks

log = logging.getLogger(__name__)


def launch(
    loader: ConfigLoader,
    config: DictConfig,
    job_overrides: Sequence[Sequence[str]],
    first: int,
    n_jobs: int | None,
) -> list[JobReturn]:
    """Run a batch of jobs, and return how each ended.

    Args:
        loader: composes a job's config.
        config: of the sweep.
        job_overrides: a list for each job.
        first: number of the first job in the sweep.
        n_jobs: how many run at a time; None: as many as there are GPUs for, or one.

    Raises:
        InputError: a mistake in any of the jobs; none has started.
        Preempted: SIGTERM came.
    """
    # What a process of it needs is loaded while the jobs are composed here.
    fork_server()
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    sweep_dir = Path(str(config.hydra.sweep.dir))
    try:
        jobs = list(compose_jobs(loader, config, job_overrides, first))
        for job in jobs:
            check_composed(job)
        shares = _shares(jobs, n_jobs)
    except InputError:
        forget(sweep_dir)
        raise
    keep(config, sweep_dir)
    finished = {job.number: Outcome(value=_score(job)) for job in jobs if _is_finished(job)}
    for number in finished:
        log.info("job %d is finished already", number)
    todo = [job for job in jobs if job.number not in finished]
    try:
        outcomes = finished | run_jobs(todo, shares, _train)
    except Preempted as error:
        raise Preempted(f"{error}; go on with the same command and resume_sweep={sweep_dir}") from error
    # Scripts take the last line of the output for the folder.
    show(sweep_dir.absolute())
    return [_returned(job, outcomes[job.number]) for job in jobs]


def compose_jobs(
    loader: ConfigLoader, config: DictConfig, job_overrides: Sequence[Sequence[str]], first: int
) -> Iterator[Job]:
    """Yield the jobs of a batch, composed; of a sweep that is gone on with, runs that began go on."""
    # What was typed as it is, or is the same in all of them, does not tell a job from the others.
    common = set(config.hydra.overrides.task)
    if len(job_overrides) > 1:
        common |= set.intersection(*map(set, job_overrides))
    for number, given in enumerate(job_overrides, first):
        own = " ".join(each for each in given if each not in common and not each.startswith("~"))
        overrides = [each for each in given if not each.startswith("resume_sweep=")]
        job = _compose(loader, config, overrides, number, f"job {number}" + (f" ({own})" if own else ""))
        if config.resume_sweep is not None and (job.run_dir / "config.yaml").exists():
            job.config.ckpt_path = "auto"
        yield job


def _compose(loader: ConfigLoader, config: DictConfig, overrides: list[str], number: int, name: str) -> Job:
    try:
        composed = loader.load_sweep_config(config, overrides)
    except HydraException as error:
        raise InputError(f"{name}: {explain(error)}") from error
    with open_dict(composed):
        composed.hydra.job.id = composed.hydra.job.num = number
        # All lie beside multirun.yaml; the job's process would make an id of its own.
        composed.hydra.sweep.dir = str(config.hydra.sweep.dir)
    with current(composed), read_write(composed.hydra.runtime), open_dict(composed.hydra.runtime):
        run_dir = Path(composed.hydra.sweep.dir, str(composed.hydra.sweep.subdir)).absolute()
        composed.hydra.runtime.output_dir = str(run_dir)
    return Job(number, name, tuple(overrides), composed, run_dir)


def check_composed(job: Job) -> None:
    """Refuse a job with a mistake, naming it."""
    try:
        with current(job.config):
            check_job(without_hydra(job.config), job.run_dir, list(job.overrides))
    except (InputError, OmegaConfBaseException) as error:
        raise InputError(f"{job.name}: {explain(error)}") from error


def _shares(jobs: Sequence[Job], n_jobs: int | None) -> list[Share]:
    import torch

    trainers = [OmegaConf.to_container(job.config.trainer, resolve=True) for job in jobs]
    nodes = [node for node in trainers if isinstance(node, dict)]
    on_cpu = all(node.get("accelerator") == "cpu" for node in nodes)
    ranks = max(num_ranks({str(key): value for key, value in node.items()}) for node in nodes)
    gpus = [] if on_cpu else visible_gpus()
    return deal(n_jobs, gpus, ranks, torch.get_num_threads(), available_cores())


def _is_finished(job: Job) -> bool:
    return job.config.ckpt_path == "auto" and (job.run_dir / "summary.json").exists()


def _score(job: Job) -> float | None:
    return score_of(job.run_dir, job.config.optimized_metric)


def _train(cfg: DictConfig) -> float | None:
    """Do what the main does, in the job's own process."""
    hydra_config = HydraConfig.get()
    return start(cfg, Path(hydra_config.runtime.output_dir), list(hydra_config.overrides.task))


def _returned(job: Job, outcome: Outcome) -> JobReturn:
    """Return what Hydra's sweepers take, and remember a failure for the exit code."""
    returned = JobReturn(
        overrides=list(job.overrides),
        cfg=without_hydra(job.config),
        hydra_cfg=job.config,
        working_dir=str(Path.cwd()),
        task_name=job.config.hydra.job.name,
        status=JobStatus.FAILED if outcome.code else JobStatus.COMPLETED,
    )
    returned.return_value = outcome.value
    if outcome.code:
        said = outcome.failure.line if outcome.failure else "interrupted"
        error = JobError(f"{job.name}: {said}; see {job.run_dir}", outcome.code)
        record(error)
        returned.return_value = error
    return returned


def without_hydra(config: DictConfig) -> DictConfig:
    """Return a composed config as a job gets it."""
    cfg = copy.deepcopy(config)
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg


@contextmanager
def current(config: DictConfig) -> Iterator[None]:
    """Let `${hydra:...}` mean this job."""
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(config)
    try:
        yield
    finally:
        HydraConfig.instance().cfg = before
