"""Run a search: a trial for each slot that is free, until there are as many as asked for."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, OmegaConf, open_dict
from optuna.trial import FrozenTrial

from imageclf import InputError
from imageclf.configs import record
from imageclf.launch.jobs import Job, compose_jobs, pack
from imageclf.launch.search.options import SearchOptions, read_options
from imageclf.launch.search.space import Space, read_space
from imageclf.launch.search.study import NAME, ask, left_behind, open_study, overrides_of, tell, write_results
from imageclf.launch.start import score_of
from imageclf.launch.sweep import Result
from imageclf.launch.sweep_folder import RESULTS, remove_refused
from imageclf.system.errors import MISTAKE, Failure
from imageclf.system.locks import locked
from imageclf.system.printable import show
from imageclf.training.parts.metrics import epoch_scores
from imageclf.training.run_config import RunConfig, parse

log = logging.getLogger(__name__)

JOURNAL = "study.log"

# Starts the jobs that it is given as it has room for them, and yields each with its result when it ends.
Stream = Callable[[Iterator[Job]], Iterator[tuple[Job, Result]]]


def search(loader: ConfigLoader, config: DictConfig, arguments: Sequence[str], stream: Stream) -> None:
    """Search until the study has all its trials, those of earlier starts and of other machines among them.

    The folder of the sweep is chosen, `arguments` are the typed overrides, and `stream` runs the trials.

    Raises:
        InputError: a mistake in the search or in what it chooses from; no trial has started.
        Preempted: a signal ended the search.
    """
    folder = Path(str(config.hydra.sweep.dir)).absolute()
    metric = str(config.optimized_metric)
    try:
        node: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
        options = read_options(node)
        typed = [each for each in arguments if not each.startswith("resume_sweep=")]
        space = read_space(options.params, typed)
        journal = Path(options.storage or folder / JOURNAL).expanduser().absolute()
        # A study that goes on was checked when it began.
        if not journal.exists():
            check_corners(loader, config, space, options)
        study = open_study(options, journal, metric, space)
    except InputError:
        remove_refused(folder)
        raise

    def compose(trial: FrozenTrial) -> Job:
        """Return a trial as a job that reports to the study."""
        overrides = [*space.fixed, *overrides_of(trial)]
        (job,) = compose_jobs(loader, config, [overrides], trial.number)
        return with_pruning(job, options, journal) if options.pruner else job

    folder.mkdir(parents=True, exist_ok=True)
    # wait=0: a second search in the folder is a mistake, not a restart that waits for the first to go.
    with locked(folder, wait=0), _forgotten_if_refused(study, journal):
        for job, result in stream(next_jobs(study, options, space, folder, compose)):
            if isinstance(result, Failure) and result.status != "pruned":
                record(job.error(result))
            tell(study, job.number, result)
            write_results(study, metric, folder / RESULTS)
    _conclude(study, metric)
    # Scripts take the last line of the output for the folder.
    show(folder)


@contextmanager
def _forgotten_if_refused(study: optuna.Study, journal: Path) -> Iterator[None]:
    """Remove a study whose search the launcher refuses before it has asked for a trial."""
    try:
        yield
    except InputError:
        if not study.trials:
            journal.unlink(missing_ok=True)
        raise


def next_jobs(
    study: optuna.Study,
    options: SearchOptions,
    space: Space,
    folder: Path,
    compose: Callable[[FrozenTrial], Job],
) -> Iterator[Job]:
    """Yield the trials that an earlier start left behind, then new ones, each when it is needed."""
    for trial in left_behind(study, folder):
        job = compose(trial)
        if (job.run_dir / "summary.json").exists():
            # It had ended before its end could be told.
            tell(study, trial.number, score_of(job.run_dir, job.plain["optimized_metric"]))
        else:
            yield job
    while len(study.trials) < options.n_trials:
        trial = ask(study, options.sampler, space, folder)
        try:
            job = compose(trial)
        except InputError as error:
            record(error)
            tell(study, trial.number, Failure("input", MISTAKE, str(error)))
        else:
            yield job


def check_corners(loader: ConfigLoader, config: DictConfig, space: Space, options: SearchOptions) -> None:
    """Compose runs with each choice and both ends of each interval, so that a mistake is reported at once.

    Raises:
        InputError: a run cannot be meant, or what trials are to be pruned by is not measured in epochs.
    """
    jobs = compose_jobs(loader, config, [[*space.fixed, *each] for each in space.corners()], 0)
    scores = epoch_scores(parse(jobs[0].plain, RunConfig))
    metric = jobs[0].plain["optimized_metric"]
    if options.pruner is not None and metric not in scores:
        raise InputError(
            f"optimized_metric={metric} is not measured at the end of a cycle, so no trial can be pruned by "
            f"it: give hydra.sweeper.pruner=null, or one of {', '.join(scores)}"
        )


def with_pruning(job: Job, options: SearchOptions, journal: Path) -> Job:
    """Return a job that reports each of its cycles to the study, and ends where it is pruned."""
    node = {
        "_target_": "imageclf.callbacks.search.pruning.Pruning",
        # Both may move together.
        "storage": os.path.relpath(journal, job.run_dir),
        "study": options.study_name or NAME,
        "trial": job.number,
        "metric": job.plain["optimized_metric"],
        "pruner": options.pruner,
        "options": dict(options.pruner_options),
    }
    config, plain = job.config, job.plain
    plain["callbacks"]["pruning"] = node
    with open_dict(config):
        config.callbacks.pruning = node
    return replace(job, packed=pack(config), packed_plain=pack(plain))


def _conclude(study: optuna.Study, metric: str) -> None:
    """Log the best trial, and how the trials ended."""
    states = Counter(trial.state.name.lower() for trial in study.trials)
    log.info("%s", ", ".join(f"{count} {state}" for state, count in states.items()))
    if states["complete"]:
        best = study.best_trial
        log.info(
            "the best is run %d: %s=%.4g with %s",
            best.number,
            metric,
            best.value,
            " ".join(overrides_of(best)),
        )
