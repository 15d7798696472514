"""A trial as its run sees it: the journal of the study, and the verdict on the trial after each cycle."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.storages.journal import JournalFileBackend, JournalStorage

from imageclf import InputError
from imageclf.schedule import Schedule

# Optuna prints each trial in words of its own.
logging.getLogger("optuna").setLevel(logging.WARNING)


def build_pruner(name: str | None, options: Mapping[str, Any]) -> BasePruner:
    """Build a pruner of optuna, for which a step is a cycle.

    The `name` is median or hyperband; None: no trial is pruned.

    Raises:
        InputError: there is no such pruner, or it does not take the options.
    """
    if name not in ("median", "hyperband", None):
        raise InputError(f"hydra.sweeper.pruner={name}: give median, hyperband or null")
    if name is None:
        return NopPruner()
    try:
        if name == "median":
            return MedianPruner(**options)
        # Hyperband looks at these when the first trial is finished; what it is made of does so at once.
        shared = {key: value for key, value in options.items() if key != "max_resource"}
        SuccessiveHalvingPruner(**shared)
        return HyperbandPruner(**options)
    except (TypeError, ValueError) as error:
        raise InputError(f"hydra.sweeper.{name}: {error}") from error


def open_storage(path: Path) -> JournalStorage:
    """Open the journal of a study, a file that several machines append to; it is made if it is missing."""
    return JournalStorage(JournalFileBackend(str(path)))


def cycles_done(schedule: Schedule, epoch: int) -> int | None:
    """Return how many cycles of the run are done after an epoch, or None inside a cycle.

    >>> from imageclf.schedule import Phase
    >>> schedule = Schedule({"head": Phase(n_cycles=2, lr=1e-2), "finetune": Phase(1, 3, lr=1e-3)})
    >>> [cycles_done(schedule, epoch) for epoch in range(5)]
    [1, 2, None, None, 3]
    """
    if not schedule.at(epoch).is_cycle_end:
        return None
    return sum(schedule.at(each).is_cycle_end for each in range(epoch + 1))


def is_pruned(study: optuna.Study, number: int, cycle: int, score: float | None) -> bool:
    """Return the verdict on a trial once `cycle` of its cycles are done.

    It is reached once, and read from the study ever after. Without a score of the cycle, only a verdict that
    was reached before counts.
    """
    key = f"pruned after cycle {cycle}"
    before = study.trials[number]
    if key in before.user_attrs or score is None:
        return bool(before.user_attrs.get(key))
    trial = optuna.trial.Trial(study, before._trial_id)
    # A run that was killed in between has reported, but has no verdict.
    if cycle not in before.intermediate_values:
        trial.report(score, cycle)
    # NumPy's own bool does not go into a journal.
    verdict = bool(trial.should_prune())
    trial.set_user_attr(key, verdict)
    return verdict
