"""Runs that differ only in the fold, or only in the seed: summarised, and the predictions of folds joined."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from imageclf import InputError
from imageclf.analysis.run_settings import RunRecord, differing_settings, setting_text, settings
from imageclf.analysis.runs_table import run_scores

FOLD = "data.fold"
SEED = "seed"


@dataclass(frozen=True)
class Folds:
    """Finished runs of one cross-validation, one per fold, in the order of the folds.

    `number` counts all folds, those that are not done included. `replaced` names older runs of a fold that
    was run again; they do not count.
    """

    runs: Sequence[RunRecord]
    number: int
    replaced: Sequence[str]


def find_folds(runs: Sequence[RunRecord]) -> list[Folds]:
    """Return the cross-validations among the runs, in the order of their first run.

    Their runs have a fold and predictions of it, and configs that are otherwise equal; if a fold was run
    twice, the run whose name sorts last counts.
    """
    groups: dict[str, list[RunRecord]] = {}
    for run in runs:
        is_fold = all(isinstance(run.config.get(key), int) for key in (FOLD, "data.folds"))
        if len(run.predictions) and is_fold:
            groups.setdefault(_all_but(run, FOLD), []).append(run)
    return [_one_per_fold(group) for group in groups.values()]


def out_of_fold(folds: Folds) -> pd.DataFrame:
    """Return the predictions of every fold's held-out pictures, in the order of the folds.

    Raises:
        InputError: the folds have different classes, or hold out the same picture twice.
    """
    first = folds.runs[0]
    strange = next((run for run in folds.runs if list(run.classes) != list(first.classes)), None)
    if strange is not None:
        raise InputError(
            f"{strange.name} has other classes than {first.name}: they are not folds of one set of pictures"
        )
    joined = pd.concat([run.predictions for run in folds.runs], ignore_index=True)
    twice = joined["path"][joined["path"].duplicated()]
    if len(twice):
        raise InputError(
            f"two folds hold out {twice.iloc[0]!r}: the pictures changed between the runs "
            f"{first.name} and {folds.runs[-1].name}; run them again"
        )
    return joined


def joint_facts(folds: Folds) -> dict[str, Any]:
    """Return what the task learns from the joined predictions, such as thresholds, or nothing."""
    first = folds.runs[0]
    return first.task.joint_facts(out_of_fold(folds), first.classes)


def fold_summary(folds: Folds) -> dict[str, float]:
    """Return the scores of the joined predictions, `oof/...`, and mean and std of each score.

    Mean and standard deviation are over the folds that have the score, the latter with n - 1.
    """
    joined, first = out_of_fold(folds), folds.runs[0]
    parts = np.repeat(np.arange(len(folds.runs)), [len(run.predictions) for run in folds.runs])
    scores = first.task.joint_scores(joined, first.classes, parts)
    return {f"oof/{name}": value for name, value in scores.items()} | spread_of(folds.runs)


def spread_of(runs: Sequence[RunRecord]) -> dict[str, float]:
    """Return `NAME mean` and `NAME std` of each score, over the runs that have it, the latter with n - 1."""
    scores = pd.DataFrame([run_scores(run) for run in runs])
    return {
        f"{name} {word}": float(value)
        for name in scores
        for word, value in (("mean", scores[name].mean()), ("std", scores[name].std(ddof=1)))
    }


def fold_table(groups: Sequence[Folds]) -> pd.DataFrame:
    """Return a row per cross-validation: settings in which they differ, folds that are done, scores."""
    chosen = differing_settings([group.runs[0] for group in groups]).drop(columns=FOLD, errors="ignore")
    counts = pd.DataFrame([{"folds_done": len(group.runs), "folds": group.number} for group in groups])
    return pd.concat([chosen, counts, pd.DataFrame([fold_summary(group) for group in groups])], axis=1)


def find_seeds(runs: Sequence[RunRecord]) -> list[list[RunRecord]]:
    """Return the finished runs that differ only in `seed`, where there are two seeds or more.

    If a seed was run twice, the run whose name sorts last counts.
    """
    groups: dict[str, dict[str, RunRecord]] = {}
    for run in sorted(runs, key=lambda run: run.name):
        if run.status == "finished" and SEED in run.config:
            groups.setdefault(_all_but(run, SEED), {})[setting_text(run.config[SEED])] = run
    return [list(group.values()) for group in groups.values() if len(group) > 1]


def seed_table(groups: Sequence[Sequence[RunRecord]]) -> pd.DataFrame:
    """Return a row per group of seeds: their number, settings in which the groups differ, scores."""
    chosen = differing_settings([group[0] for group in groups]).drop(columns=SEED, errors="ignore")
    counts = pd.DataFrame({"seeds": [len(group) for group in groups]})
    return pd.concat([counts, chosen, pd.DataFrame([spread_of(group) for group in groups])], axis=1)


def _one_per_fold(runs: Sequence[RunRecord]) -> Folds:
    # Names are paths, and the ids in them begin with the time.
    latest = {_number(run, FOLD): run for run in sorted(runs, key=lambda run: run.name)}
    kept = [latest[fold] for fold in sorted(latest)]
    replaced = [run.name for run in runs if run.name not in {each.name for each in kept}]
    return Folds(kept, _number(runs[0], "data.folds"), replaced)


def _number(run: RunRecord, key: str) -> int:
    return int(setting_text(run.config[key]))


def _all_but(run: RunRecord, left_out: str) -> str:
    return repr(sorted((key, setting_text(value)) for key, value in settings(run).items() if key != left_out))
