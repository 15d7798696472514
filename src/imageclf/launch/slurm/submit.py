"""cluster=slurm: check all runs, make their directories, submit them (see `arrays`), and say how each ended.

How jobs end is read from the queue (see `queue`).
"""

import logging
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn
from hydra.types import HydraContext
from omegaconf import DictConfig

from imageclf import InputError
from imageclf.configs import foreign_targets, read_config
from imageclf.configs.options import ClusterOptions
from imageclf.configs.saved.hydra_record import write_record
from imageclf.configs.saved.numbers import read_json
from imageclf.launch.jobs import Job, compose_jobs, job_return, set_up, task_config
from imageclf.launch.slurm.arrays import submitted
from imageclf.launch.slurm.check_jobs import check_jobs
from imageclf.launch.slurm.queue import State, ends
from imageclf.launch.slurm.sbatch import script
from imageclf.launch.start import score_of
from imageclf.launch.sweep_folder import FILE, remove_refused, write_multirun
from imageclf.system.command_line import override
from imageclf.system.errors import RunError
from imageclf.system.progress import track
from imageclf.training.directory import prepare
from imageclf.training.failure import FILE as FAILURE

log = logging.getLogger(__name__)


def submit(
    context: HydraContext,
    config: DictConfig,
    job_overrides: Sequence[Sequence[str]],
    first: int,
    resources: Mapping[str, Any],
) -> list[JobReturn]:
    """Submit a batch of runs as an array, and return how each ended, if the sweep waits for that.

    `resources` is the node hydra.launcher; the others are as in `compose_jobs`.

    Raises:
        InputError: a mistake in any of the runs; none is submitted.
    """
    set_up(config)
    sweep_dir = Path(str(config.hydra.sweep.dir)).absolute()
    if typed_run_dir(config):
        # Hydra writes it for a run, too.
        (sweep_dir / FILE).unlink(missing_ok=True)
    try:
        check_sweep(config, len(job_overrides))
        runs = compose_jobs(context.config_loader, config, job_overrides, first)
        options = check_jobs(runs, config)
    except InputError:
        remove_refused(sweep_dir)
        raise
    if not typed_run_dir(config):
        write_multirun(config, sweep_dir)
    unfinished = _prepare_runs(runs)
    ended: dict[int, State] = {}
    if unfinished and options.print:
        _print_script(config.hydra.job.name, unfinished, options, sweep_dir)
    elif unfinished:
        ended = _run_all(unfinished, resources, options, sweep_dir)
    # Scripts take the last line of the output for the folder.
    print(sweep_dir, flush=True)
    return [_job_return(run, ended.get(run.number)) for run in runs]


def typed_run_dir(config: DictConfig) -> str | None:
    """Return the directory that the command line gives to a single run, or None."""
    typed = [str(each) for each in config.hydra.overrides.hydra]
    return next((each.partition("=")[2] for each in typed if each.startswith("hydra.run.dir=")), None)


def check_sweep(config: DictConfig, num_jobs: int) -> None:
    """Check that a sweep can run on a cluster."""
    if config.hydra.job.config_name != "train":
        raise InputError("cluster=slurm is for imageclf-train alone: leave it out")
    searches = not str(config.hydra.sweeper._target_).endswith(".BasicSweeper")
    run_dir = typed_run_dir(config)
    if run_dir is not None and (searches or num_jobs > 1):
        raise InputError(
            f"hydra.run.dir={run_dir} is for one run, and a sweep trains in folders 0, 1, ...: "
            f"give hydra.sweep.dir={run_dir}"
        )
    if searches and (config.cluster.print or not config.cluster.wait):
        given = "cluster.print=true" if config.cluster.print else "cluster.wait=false"
        raise InputError(f"{given}: a search submits its runs and waits for their scores; leave it out")
    if not config.cluster.print and shutil.which("sbatch") is None:
        raise InputError(
            "cluster=slurm: there is no sbatch here; start the command on a login node of the cluster"
        )


def prepare_run(run: Job) -> bool:
    """Make a run directory as Hydra would in the job, and return whether the run is unfinished.

    Hydra's own function for this calls callbacks of a job's start, and none starts here.
    """
    run.run_dir.mkdir(parents=True, exist_ok=True)
    config = run.config
    write_record(config, run.run_dir)
    with task_config(config, run.config) as cfg:
        return prepare(cfg, run.run_dir, list(run.overrides), run.plain)


def _prepare_runs(runs: Sequence[Job]) -> list[Job]:
    """Make the run directories, and return the runs that are unfinished."""
    unfinished = []
    with track("making the run directories", len(runs), "runs") as advance:
        for run in runs:
            unfinished += [run] if prepare_run(run) else []
            advance(1)
    return unfinished


def _print_script(name: str, runs: Sequence[Job], options: ClusterOptions, sweep_dir: Path) -> None:
    run_dirs = [run.run_dir for run in runs]
    # Their code was checked when the directories were made or resumed.
    trusted = sorted(
        {code for each in run_dirs for code in foreign_targets(read_config(each / "config.yaml"))}
    )
    text = script(name, sweep_dir, run_dirs, options, trusted)
    path = sweep_dir / "sbatch.sh"
    path.write_text(text, encoding="utf-8")
    print(f"{text}# to submit it: sbatch {path}")


def _run_all(
    runs: Sequence[Job], resources: Mapping[str, Any], options: ClusterOptions, sweep_dir: Path
) -> dict[int, State]:
    """Submit runs, and return the last state of each job by its run's number, of none if nobody waits."""
    jobs: dict[str, Job] = {}
    try:
        for job, run in submitted(runs, resources, options, sweep_dir):
            jobs[job] = run
            print(f"job {job}: {run.run_dir}", flush=True)
        return _ends(jobs) if options.wait else {}
    except KeyboardInterrupt:
        if jobs:
            arrays = sorted({job.partition("_")[0] for job in jobs})
            print(f"the jobs go on; scancel {' '.join(arrays)} ends them", file=sys.stderr)
        raise


def _ends(jobs: Mapping[str, Job]) -> dict[int, State]:
    """Return the last states of jobs by the numbers of their runs, once all have ended."""
    found = {}
    for job, state in ends(list(jobs)):
        log.info("job %s is %s: %s", job, state.name, jobs[job].run_dir)
        found[jobs[job].number] = state
    return found


def _job_return(run: Job, state: State | None) -> JobReturn:
    """Return how a run ended; a state of None means that nobody waited for its job."""
    finished = (run.run_dir / "summary.json").exists()
    if state is not None and not (finished and state.name in ("COMPLETED", "GONE")):
        return job_return(run, RunError(_ending(run, state), state.code))
    return job_return(run, score_of(run.run_dir, run.plain["optimized_metric"]) if finished else None)


def _ending(run: Job, state: State) -> str:
    """Return why a job ended before its run was finished, and how to go on."""
    cause = str(read_json(run.run_dir / FAILURE).get("cause", "")).partition("\n")[0]
    sweep_dir = Path(str(run.config.hydra.sweep.dir)).absolute()
    place = override("hydra.run.dir" if sweep_dir == run.run_dir else "hydra.sweep.dir", sweep_dir)
    why = f": {cause}" if cause else ""
    return (
        f"{run.name} ended as {state.name}{why}; see {run.run_dir}; go on with the same command, {place} "
        "and ckpt_path=auto"
    )
