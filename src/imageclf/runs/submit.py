"""cluster=slurm: all runs are checked and made here, and each job is the one door of a run directory."""

import copy
import json
import logging
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, configure_log, run_job, setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from imageclf import InputError
from imageclf.configs import JobError, check, record, to_plain
from imageclf.configs.entry import FAILED
from imageclf.runs.array_task import ArrayTask
from imageclf.runs.checks import check_values
from imageclf.runs.cluster import check_cluster, check_data
from imageclf.runs.directory import prepare, read_summary
from imageclf.runs.options import ClusterOptions, TrainOptions
from imageclf.runs.sbatch import SRUN, script, setup
from imageclf.runs.slurm_queue import State, ends
from imageclf.runs.start import check_top

log = logging.getLogger(__name__)


class Run(NamedTuple):
    """One run of a sweep.

    Args:
        number: in the sweep.
        config: composed, with its hydra node.
        plain: what a training has of it.
        run_dir: where it trains.
    """

    number: int
    config: DictConfig
    plain: dict[str, Any]
    run_dir: Path

    @property
    def overrides(self) -> list[str]:
        """Return what makes it this run."""
        return [str(each) for each in self.config.hydra.overrides.task]


def submit(
    context: HydraContext,
    config: DictConfig,
    job_overrides: Sequence[Sequence[str]],
    first: int,
    resources: Mapping[str, Any],
) -> list[JobReturn]:
    """Submit a batch of runs as an array, and return how each ended, or that it was submitted.

    Args:
        context: composes a run's config.
        config: of the sweep.
        job_overrides: a list for each run.
        first: number of the first run in the sweep.
        resources: the node hydra.launcher.

    Raises:
        InputError: a mistake in any of the runs; none is submitted.
    """
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    check_sweep(config)
    runs = [compose_run(context, config, list(given), first + i) for i, given in enumerate(job_overrides)]
    options = check_runs(runs, config)
    unfinished = [run for run in runs if _prepare(run, context)]
    jobs: dict[str, Run] = {}
    if unfinished and options.print:
        _print_script(config, unfinished, options)
    elif unfinished:
        jobs = _submit(unfinished, resources, options)
    results = {} if not options.wait else {jobs[job].number: state for job, state in _watched(jobs)}
    print(Path(str(config.hydra.sweep.dir)).absolute(), flush=True)
    return [_returned(run, results.get(run.number), run in unfinished) for run in runs]


def check_sweep(config: DictConfig) -> None:
    """Refuse what a sweep on a cluster cannot do.

    Raises:
        InputError: the run directory of a single run is chosen, or a search is not to wait for scores, or
            this is not a training.
    """
    if config.hydra.job.config_name != "train":
        raise InputError("cluster=slurm is for imageclf-train alone: leave it out")
    for typed in config.hydra.overrides.hydra:
        if str(typed).startswith("hydra.run.dir="):
            folder = str(typed).partition("=")[2]
            raise InputError(
                f"{typed}: cluster=slurm trains in folders 0, 1, ... of a sweep; give hydra.sweep.dir={folder}"
            )
    searches = not str(config.hydra.sweeper._target_).endswith(".BasicSweeper")
    if searches and (config.cluster.print or not config.cluster.wait):
        raise InputError(
            "cluster.wait=false: a search waits for the scores of its runs; give cluster.wait=true"
        )
    if not config.cluster.print and shutil.which("sbatch") is None:
        raise InputError(
            "cluster=slurm: there is no sbatch here; start the command on a login node of the cluster"
        )


def compose_run(context: HydraContext, config: DictConfig, overrides: list[str], number: int) -> Run:
    """Compose one run of a sweep as Hydra's launchers do."""
    composed = context.config_loader.load_sweep_config(config, overrides)
    with open_dict(composed):
        composed.hydra.job.id = composed.hydra.job.num = number
        # All lie beside multirun.yaml.
        composed.hydra.sweep.dir = str(Path(str(config.hydra.sweep.dir)).absolute())
    with _current(composed), read_write(composed.hydra.runtime), open_dict(composed.hydra.runtime):
        run_dir = Path(composed.hydra.sweep.dir, str(composed.hydra.sweep.subdir))
        composed.hydra.runtime.output_dir = str(run_dir)
        plain = to_plain(without_hydra(composed))
    return Run(number, composed, plain, run_dir)


def check_runs(runs: Sequence[Run], config: DictConfig) -> ClusterOptions:
    """Refuse the first run with a mistake, before anything is written, and return what all of them ask for.

    Args:
        runs: of the sweep.
        config: of the sweep.

    Raises:
        InputError: such a run.
    """
    for run in runs:
        check(run.plain, TrainOptions)
        check_top(run.plain)
        check_values(run.plain)
    resources = OmegaConf.to_container(config.cluster, resolve=True)
    options = ClusterOptions(**resources)  # type: ignore[arg-type]
    for run in runs:
        check_cluster(run.plain, run.run_dir, options)
    # The runs of a sweep mostly share their pictures.
    for data in {json.dumps(run.plain["data"], sort_keys=True): run.plain["data"] for run in runs}.values():
        check_data(data, options.nodes * options.tasks_per_node)
    return options


def _prepare(run: Run, context: HydraContext) -> bool:
    """Make a run's directory as Hydra would in its job, and return whether the run is unfinished."""
    made = run_job(
        task_function=lambda cfg: prepare(cfg, run.run_dir, run.overrides),
        config=run.config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
        hydra_context=context,
        configure_logging=False,
    )
    return bool(made.return_value)


def _print_script(config: DictConfig, runs: Sequence[Run], options: ClusterOptions) -> None:
    folder = Path(str(config.hydra.sweep.dir)).absolute()
    text = script(config.hydra.job.name, folder, [run.run_dir for run in runs], options)
    path = folder / "sbatch.sh"
    path.write_text(text, encoding="utf-8")
    print(f"{text}# to submit it: sbatch {path}")


def _submit(runs: Sequence[Run], resources: Mapping[str, Any], options: ClusterOptions) -> dict[str, Run]:
    """Submit runs as one array, and return them by the ids of their jobs."""
    from submitit import AutoExecutor
    from submitit.core.utils import FailedJobError

    known = dict(resources)
    executor = AutoExecutor(
        folder=known.pop("submitit_folder"),
        cluster="slurm",
        slurm_max_num_timeout=known.pop("max_num_timeout"),
    )
    general = (
        "timeout_min",
        "cpus_per_task",
        "gpus_per_node",
        "tasks_per_node",
        "mem_gb",
        "nodes",
        "name",
        "stderr_to_stdout",
    )
    further = {"requeue": True, **(known.pop("additional_parameters") or {})}
    known |= {"setup": setup(options), "srun_args": list(SRUN[1:]), "additional_parameters": further}
    executor.update_parameters(
        **{name if name in general else f"slurm_{name}": value for name, value in known.items()}
    )
    try:
        submitted = executor.map_array(ArrayTask(), [str(run.run_dir) for run in runs])
    except FailedJobError as error:
        # The runs were never there: the same command may try again.
        for run in runs:
            if not (run.run_dir / "plan.csv").exists():
                (run.run_dir / "config.yaml").unlink()
        raise InputError(f"sbatch refuses the jobs: {' '.join(str(error).split())}") from error
    jobs = {job.job_id: run for job, run in zip(submitted, runs, strict=True)}
    for job, run in jobs.items():
        print(f"job {job}: {run.run_dir}", flush=True)
    return jobs


def _watched(jobs: Mapping[str, Run]) -> Iterator[tuple[str, State]]:
    """Yield jobs as they end."""
    try:
        for job, state in ends(list(jobs)):
            log.info("job %s is %s: %s", job, state.name, jobs[job].run_dir)
            yield job, state
    except KeyboardInterrupt:
        arrays = sorted({job.partition("_")[0] for job in jobs})
        print(f"the jobs go on; scancel {' '.join(arrays)} ends them", file=sys.stderr)
        raise


def without_hydra(config: DictConfig) -> DictConfig:
    """Return a composed config as a job gets it."""
    cfg = copy.deepcopy(config)
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg


def _returned(run: Run, state: State | None, submitted: bool) -> JobReturn:
    """Return what Hydra's sweepers take, and remember a failure for the exit code."""
    returned = JobReturn(
        overrides=run.overrides,
        cfg=without_hydra(run.config),
        hydra_cfg=run.config,
        working_dir=str(Path.cwd()),
        task_name=run.config.hydra.job.name,
        status=JobStatus.COMPLETED,
    )
    if state is None and submitted:
        returned.return_value = None
    elif (run.run_dir / "summary.json").exists():
        score = read_summary(run.run_dir).get(run.plain["optimized_metric"] or "")
        returned.return_value = None if score is None else float(score)
    else:
        assert state is not None, "a run that is finished has a summary"
        code = state.exit_code if state.exit_code in (1, FAILED, 75) else FAILED
        error = JobError(f"run {run.number} ({run.run_dir}) ended as {state.name}; its log says why", code)
        record(error)
        returned.status, returned.return_value = JobStatus.FAILED, error
    return returned


@contextmanager
def _current(config: DictConfig) -> Iterator[None]:
    """Let `${hydra:...}` mean this run."""
    before = HydraConfig.instance().cfg
    HydraConfig.instance().set_config(config)
    try:
        yield
    finally:
        HydraConfig.instance().cfg = before
