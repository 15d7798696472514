"""A search on a cluster: a job for each trial, submitted when another one has ended."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from imageclf import InputError
from imageclf.configs.saved.numbers import read_json
from imageclf.launch.jobs import Job, set_up
from imageclf.launch.slurm.arrays import submitted
from imageclf.launch.slurm.check_jobs import check_jobs
from imageclf.launch.slurm.queue import State, ends, states
from imageclf.launch.slurm.submit import check_sweep, prepare_run
from imageclf.launch.start import score_of
from imageclf.launch.sweep import Result
from imageclf.launch.sweep_folder import write_multirun
from imageclf.system.errors import PREEMPTED, Failure, Status
from imageclf.system.files import write_text

log = logging.getLogger(__name__)

# In a run directory: the id of its job, so that a search that goes on waits for it, not for a second one.
_JOB = ".slurm_job"
# Seconds between two queries of the queue at the most: a free slot is a trial that has not started.
_PAUSE = 5.0


def stream(
    config: DictConfig, resources: Mapping[str, Any], jobs: Iterator[Job]
) -> Iterator[tuple[Job, Result]]:
    """Submit runs that are asked for one by one, `cluster.array_parallelism` at a time.

    Each is yielded with its result as it ends.

    `resources` is the node hydra.launcher.

    Raises:
        InputError: all trials would be submitted before the first has ended, or sbatch refuses a job.
    """
    set_up(config)
    check_sweep(config, int(config.hydra.sweeper.n_trials))
    sweep_dir, at_once = Path(str(config.hydra.sweep.dir)).absolute(), int(config.cluster.array_parallelism)
    if at_once >= config.hydra.sweeper.n_trials > 1:
        raise InputError(
            f"cluster.array_parallelism={at_once}: all {config.hydra.sweeper.n_trials} trials would start "
            "before any has ended, and none would learn from another; give fewer, such as 4"
        )
    write_multirun(config, sweep_dir)
    runs: dict[str, Job] = {}
    running: list[str] = []

    def submit_more() -> None:
        """Submit runs until as many are on their way as may be."""
        while len(running) < at_once and (run := next(jobs, None)):
            running.append(_submitted(run, config, resources, sweep_dir))
            runs[running[-1]] = run

    submit_more()
    for job_id, state in ends(running, longest=_PAUSE):
        log.info("job %s is %s: %s", job_id, state.name, runs[job_id].run_dir)
        yield runs[job_id], _result(runs.pop(job_id), state)
        submit_more()


def _submitted(run: Job, config: DictConfig, resources: Mapping[str, Any], sweep_dir: Path) -> str:
    """Submit a run, unless its job of an earlier start is still in the queue, and return the job's id."""
    path = run.run_dir / _JOB
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    if before and not (states([before]) or {before: State("UNKNOWN")})[before].has_ended:
        log.info("job %s goes on: %s", before, run.run_dir)
        return before
    options = check_jobs([run], config)
    prepare_run(run)
    ((job_id, _),) = submitted([run], resources, options, sweep_dir)
    print(f"job {job_id}: {run.run_dir}", flush=True)
    write_text(path, job_id)
    return job_id


def _result(run: Job, state: State) -> Result:
    """Return the score of a run whose job has ended, or why it has none."""
    if (run.run_dir / "summary.json").exists():
        return score_of(run.run_dir, run.plain["optimized_metric"])
    failed = read_json(run.run_dir / "failed.json")
    if failed.get("status") == "pruned":
        return Failure("pruned", 0, str(failed.get("cause")))
    status: Status = "preempted" if state.code == PREEMPTED else "failed"
    return Failure(status, state.code, f"its job ended as {state.name}")
