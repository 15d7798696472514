"""The study of a search, in a journal: asked for trials, told how they ended, and read for the results."""

import math
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from omegaconf import OmegaConf
from optuna.exceptions import ExperimentalWarning
from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from imageclf import InputError
from imageclf.callbacks.search.trial import build_pruner, open_storage
from imageclf.configs import instantiate
from imageclf.launch.search.options import SearchOptions
from imageclf.launch.search.space import Space
from imageclf.system.errors import Failure

NAME = "search"
# Attributes of a trial: the folder of the sweep that runs it, and its overrides.
_FOLDER, _OVERRIDES = "folder", "overrides"
# Attribute of a study: what is searched for. Another question would spoil its answers.
_QUESTION = "question"


def open_study(options: SearchOptions, path: Path, metric: str, space: Space) -> optuna.Study:
    """Open or make the study of a search.

    Raises:
        InputError: the study asks for something else, or there is no such pruner or sampler.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name=options.study_name or NAME,
        storage=open_storage(path),
        sampler=build_sampler(options.sampler, 0),
        pruner=build_pruner(options.pruner, options.pruner_options),
        direction=options.direction,
        load_if_exists=True,
    )
    question = {"optimized_metric": metric, "hydra.sweeper.direction": options.direction}
    question |= {key: repr(each) for key, each in space.varied.items()}
    was = study.user_attrs.get(_QUESTION, question)
    changed = [key for key in {**was, **question} if was.get(key) != question.get(key)]
    if changed:
        raise InputError(
            f"{path} searches with {changed[0]}={was.get(changed[0], 'not searched')} (now "
            f"{question.get(changed[0], 'not searched')}): leave out what changes that to go on, or start "
            "a new search"
        )
    study.set_user_attr(_QUESTION, question)
    return study


def build_sampler(node: Mapping[str, Any], number: int) -> BaseSampler:
    """Build the sampler for one trial: its draws are a function of (seed, number of the trial).

    Raises:
        InputError: the node names no sampler of optuna, or one that cannot go on after a kill.
    """
    if str(node.get("_target_")).endswith(".GridSampler"):
        raise InputError(
            "hydra.sweeper.sampler: a grid is no search; leave out hparams_search, and sweep with -m"
        )
    seed = node.get("seed")
    drawn = {} if seed is None else {"seed": int(np.random.SeedSequence([seed, number]).generate_state(1)[0])}
    with _experiments_allowed():
        sampler = instantiate({**node, **drawn}, "hydra.sweeper.sampler")
    if not isinstance(sampler, BaseSampler):
        raise InputError(
            f"hydra.sweeper.sampler._target_={node['_target_']}: give a class of optuna.samplers"
        )
    return sampler


def ask(study: optuna.Study, sampler: Mapping[str, Any], space: Space, folder: Path) -> FrozenTrial:
    """Ask for the next trial.

    The folder of the sweep owns the trial from now on.
    """
    # Asking already draws, with samplers that choose the values of all keys together.
    study.sampler = build_sampler(sampler, len(study.trials))
    trial = study.ask()
    # Another machine may have asked at the same time: only the number is this trial's own.
    study.sampler = build_sampler(sampler, trial.number)
    trial.set_user_attr(_FOLDER, str(folder))
    trial.set_user_attr(_OVERRIDES, space.suggest(trial))
    return study.trials[trial.number]


def overrides_of(trial: FrozenTrial) -> list[str]:
    """Return the overrides that the trial was asked for."""
    overrides: list[str] = trial.user_attrs[_OVERRIDES]
    return overrides


def left_behind(study: optuna.Study, folder: Path) -> list[FrozenTrial]:
    """Return the trials of a sweep's folder that were started and never told: its command was ended."""
    return [
        trial
        for trial in study.get_trials(states=(TrialState.RUNNING,))
        if trial.user_attrs.get(_FOLDER) == str(folder) and _OVERRIDES in trial.user_attrs
    ]


def tell(study: optuna.Study, number: int, result: float | Failure | None) -> None:
    """Tell how a trial ended; one that a signal has ended stays open, to go on."""
    if isinstance(result, Failure):
        if result.status == "pruned":
            study.tell(number, state=TrialState.PRUNED)
        elif result.status not in ("preempted", "interrupted"):
            study.tell(number, state=TrialState.FAIL)
    elif result is None or math.isnan(result):
        study.tell(number, state=TrialState.FAIL)
    else:
        study.tell(number, result)


def write_results(study: optuna.Study, metric: str, path: Path) -> None:
    """Write the best trial so far, the importance of each key, and all trials, as YAML."""
    trials = study.trials
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    best = study.best_trial if done else None
    results = {
        "name": "optuna",
        "metric": metric,
        "direction": "maximize" if study.direction == StudyDirection.MAXIMIZE else "minimize",
        "best_run": best.number if best else None,
        "best_value": best.value if best else None,
        "best_params": best.params if best else {},
        "importances": importances(study),
        "trials": [_row(trial) for trial in trials],
    }
    OmegaConf.save(OmegaConf.create(results), path)


def importances(study: optuna.Study) -> dict[str, float]:
    """Return how much of what makes a trial good each key explains; empty for one key, or too few trials."""
    done = study.get_trials(states=(TrialState.COMPLETE,))
    if len({trial.value for trial in done}) < 2 or len(done[0].params) < 2:
        return {}
    with _experiments_allowed():
        # The only evaluator that needs no further package.
        evaluator = PedAnovaImportanceEvaluator()
    with warnings.catch_warnings():
        # It warns where the best trials are all there are, and then calls all keys equal.
        warnings.simplefilter("error", UserWarning)
        try:
            found = get_param_importances(study, evaluator=evaluator)
        except UserWarning:
            return {}
    return {key: round(value, 4) for key, value in found.items() if math.isfinite(value)}


def _row(trial: FrozenTrial) -> dict[str, Any]:
    reported = trial.intermediate_values
    last = reported[max(reported)] if reported else None
    return {
        "run": trial.number,
        "state": trial.state.name.lower(),
        "value": trial.value if trial.state == TrialState.COMPLETE else last,
        "params": trial.params,
    }


@contextmanager
def _experiments_allowed() -> Iterator[None]:
    """Let optuna keep what it says of arguments that may change in a later version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
