"""The settings in which runs differ, under names as short as possible."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from imageclf.system.printable import written

# Keys that change nothing of what a run computes.
NO_SETTINGS = ("logger", "ckpt_path", "extras", "tags", "task_name", "optimized_metric")
# A value that cannot be read: it makes no difference.
UNKNOWN = "?"
# Config groups whose options set keys anywhere.
GLOBAL = ("experiment", "debug", "local")


@dataclass(frozen=True)
class RunRecord:
    """What one run has written so far; the rest is empty.

    Args:
        name: its path below the root.
        status: finished, failed, running, stopped, or what ended it.
        cause: of a failure, one line.
        config: values by dotted key.
        choices: option of each config group.
        summary: of a finished run.
        metrics: a row per epoch.
        epochs: of the whole schedule; None if the config cannot be read.
        predictions: of the validation split, as `read_predictions` returns them.
        classes: names, in class order.
        report: path of its report.html, or "".
    """

    name: str
    status: str
    cause: str
    config: Mapping[str, object]
    choices: Mapping[str, str]
    summary: Mapping[str, object]
    metrics: pd.DataFrame
    epochs: int | None
    predictions: pd.DataFrame
    classes: Sequence[str]
    report: str


def flatten(node: object, prefix: str = "") -> dict[str, object]:
    """Return the values of nested mappings by dotted key; an empty mapping is a value.

    >>> flatten({"model": {"head": {"dropout": 0.5}}, "tags": ["a"]})
    {'model.head.dropout': 0.5, 'tags': ['a']}
    """
    if not isinstance(node, Mapping) or (not node and prefix):
        return {prefix: node}
    return {
        key: value
        for name, inner in node.items()
        for key, value in flatten(inner, f"{prefix}.{name}" if prefix else str(name)).items()
    }


def differing_settings(runs: Sequence[RunRecord]) -> pd.DataFrame:
    """Return a row per run and a column per setting in which the runs differ, in the order of the configs.

    A setting is the option of a config group or a key of the config. A key that follows from such an option
    is left out: with `schedule=quick,minimal` the keys of their phases add nothing.
    """
    options = _differing([{g: o for g, o in run.choices.items() if _is_setting(g)} for run in runs])
    keys = _differing([settings(run) for run in runs])
    kept = [key for key in keys if key not in options and not _follows(keys[key], key, options)]
    return pd.DataFrame({**options, **{key: keys[key] for key in kept}}, index=range(len(runs)))


def settings(run: RunRecord) -> dict[str, object]:
    """Return the keys of a run's config that determine what it computes."""
    return {key: value for key, value in run.config.items() if _is_setting(key)}


def setting_text(value: object) -> str:
    """Return a value as it is typed on the command line; 0 and 0.0 are the same setting."""
    return written(value, number="{:.12g}".format)


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Return each dotted key's shortest ending that no other key has.

    >>> short_names(["schedule.phases.head.lr", "schedule.phases.tail.lr", "seed"])
    {'schedule.phases.head.lr': 'head.lr', 'schedule.phases.tail.lr': 'tail.lr', 'seed': 'seed'}
    """
    endings = {key: _endings(key) for key in keys}
    counts = Counter(ending for each in endings.values() for ending in each)
    return {key: next((e for e in each if counts[e] == 1), key) for key, each in endings.items()}


def _differing(rows: Sequence[Mapping[str, object]]) -> dict[str, list[str]]:
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [_cell(row, name) for row in rows] for name in names}
    return {name: column for name, column in columns.items() if len(set(column) - {UNKNOWN}) > 1}


def _cell(row: Mapping[str, object], name: str) -> str:
    if name in row:
        return setting_text(row[name])
    # A run whose config cannot be read differs in nothing.
    return "" if row else UNKNOWN


def _follows(column: Sequence[str], key: str, options: Mapping[str, Sequence[str]]) -> bool:
    """Return whether the option of a config group that holds the key determines its value."""
    for group, chosen in options.items():
        holds = group in GLOBAL or key.startswith(f"{group.replace('/', '.')}.")
        # One value for each option: as many pairs as options.
        if holds and len(set(zip(chosen, column, strict=True))) == len(set(chosen)):
            return True
    return False


def _is_setting(key: str) -> bool:
    return key.partition(".")[0].partition("/")[0] not in NO_SETTINGS


def _endings(key: str) -> list[str]:
    parts = key.split(".")
    return [".".join(parts[start:]) for start in reversed(range(len(parts)))]
