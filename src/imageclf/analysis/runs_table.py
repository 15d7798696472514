"""One table of many runs: the settings, progress and scores of each."""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd

from imageclf import InputError
from imageclf.analysis.run_settings import RESERVED, SCORES, UNKNOWN, RunRecord, differing_settings

# Words in the names of scores, and of the classes of metrics, of which less is better.
_LESS_IS_BETTER = ("loss", "ece", "error", "seconds", "distance")
_FIRST_SCORES = (
    *("model/acc", "model/acc_low", "model/acc_high"),
    *("val/acc", "val/acc_tta", "val/acc_best", "val/acc_best_crossfit", "val/loss", "val/loss_tta"),
    *("test/acc", "test/loss"),
)


def run_table(runs: Sequence[RunRecord], optimized: str) -> pd.DataFrame:
    """Return a row per run, with columns for status, settings that differ, scores, progress and time.

    `optimized` is the score that determines the best epoch.
    """
    facts = pd.DataFrame([_facts(run) for run in runs])
    # After the cause.
    facts.insert(3, "data_set", _data_sets(runs))
    scores = pd.DataFrame([run_scores(run) for run in runs])
    progress = pd.DataFrame([_progress(run, optimized) for run in runs])
    # Nullable integers: a run without one would turn the whole column into floats.
    progress = progress.astype({"epochs_done": "Int64", "epochs": "Int64", "best_epoch": "Int64"})
    # A label that no run has gets no column.
    empty = [name for name in ("cause", "task_name", "tags") if not facts[name].any()]
    empty += ["data_set"] if facts["data_set"].nunique() == 1 else []
    ordered = scores[[name for name in _FIRST_SCORES if name in scores]]
    rest = scores.drop(columns=ordered.columns)
    parts = [facts.drop(columns=empty), differing_settings(runs), ordered, rest, progress]
    return pd.concat(parts, axis=1)


def setting_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns of a table of runs that are settings."""
    return [name for name in table.columns if name not in RESERVED and not name.startswith(SCORES)]


def run_scores(run: RunRecord) -> dict[str, float]:
    """Return the scores of a run by name: those of its summary, or of its last epoch so far."""
    last = {} if run.metrics.empty else run.metrics.iloc[-1].to_dict()
    found = run.summary or last
    return {
        str(name): float(value)
        for name, value in found.items()
        if str(name).startswith(SCORES) and isinstance(value, int | float) and value == value
    }


def sort_runs(table: pd.DataFrame, column: str, runs: Sequence[RunRecord] = ()) -> pd.DataFrame:
    """Return the table with its best rows first, and those without a value last; text is sorted as such.

    The configs of the runs may say in which direction a metric is better.

    Raises:
        InputError: there is no such column.
    """
    if column not in table:
        raise InputError(f"sort={column}: there is no such column; give one of {', '.join(table.columns)}")
    is_score = pd.api.types.is_numeric_dtype(table[column])
    settings = {key: value for run in runs for key, value in run.config.items()}
    ascending = not is_score or less_is_better(column, settings)
    return table.sort_values(column, ascending=ascending, na_position="last", kind="stable")


def less_is_better(score: str, settings: Mapping[str, object] = MappingProxyType({})) -> bool:
    """Return whether a lower score is better, by the settings of its metric or else by its name.

    `score` is SPLIT/NAME or a column of the table; `settings` are those of a run, by dotted key.

    >>> less_is_better("val/loss_tta"), less_is_better("val/acc")
    (True, False)
    >>> less_is_better("val/mine", {"metrics.mine.higher_is_better": False})
    True
    """
    name = score.rpartition("/")[2]
    higher = settings.get(f"metrics.{name}.higher_is_better")
    if isinstance(higher, bool):
        return not higher
    target = str(settings.get(f"metrics.{name}._target_", "")).rpartition(".")[2]
    # MulticlassHingeLoss -> multiclass, hinge, loss.
    words = re.findall("[A-Z][a-z]+", target) if target else name.split("_")
    return any(word.lower() in _LESS_IS_BETTER for word in words)


def _data_sets(runs: Sequence[RunRecord]) -> list[str]:
    """Return the data set of each run: the name of its folder or CSV, or the path if two share a name.

    All are "" where no two configs name different ones; "unknown data set" where a config names none.
    """
    places = [_data_set(run) for run in runs]
    if len(set(places) - {""}) < 2:
        return [""] * len(runs)
    names = {place: place.rstrip("/").rpartition("/")[2] or "unknown data set" for place in places}
    is_clear = len(set(names.values())) == len(names)
    return [names[place] if is_clear else place for place in places]


def _data_set(run: RunRecord) -> str:
    root, csv = run.config.get("data.root"), run.config.get("data.csv")
    return "/".join(str(part) for part in (root, csv) if part and part != UNKNOWN)


def _facts(run: RunRecord) -> dict[str, str]:
    tags = run.config.get("tags")
    return {
        "run": run.name,
        "status": run.status,
        "cause": run.cause,
        "task_name": str(run.config.get("task_name") or ""),
        "tags": ", ".join(map(str, tags)) if isinstance(tags, list) else "",
    }


def _progress(run: RunRecord, optimized: str) -> dict[str, float | None]:
    metrics = run.metrics
    best = None
    if optimized in metrics and metrics[optimized].notna().any():
        scores = metrics[optimized].to_numpy(dtype=float)
        # The first epoch of a tie.
        place = np.nanargmin(scores) if less_is_better(optimized, run.config) else np.nanargmax(scores)
        best = int(metrics["epoch"].iloc[int(place)])
    return {
        "epochs_done": len(metrics),
        "epochs": run.epochs,
        "best_epoch": best,
        "seconds": round(float(metrics["seconds"].sum()), 1) if "seconds" in metrics else None,
    }
