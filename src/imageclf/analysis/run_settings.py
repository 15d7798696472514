"""The settings in which runs differ, under names as short as possible."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imageclf.system.printable import written

# Keys that change nothing of what a run computes.
NO_SETTINGS = ("logger", "ckpt_path", "extras", "tags", "task_name", "optimized_metric")
# Where a run of a search reports to.
_PRUNING = "callbacks.pruning."
# A value that cannot be read: it makes no difference.
UNKNOWN = "?"
# Columns of tables of runs that are no settings, and how those of scores start.
RESERVED = (
    *("run", "status", "cause", "data_set", "task_name", "tags"),
    *("epochs_done", "epochs", "best_epoch", "seconds", "folds_done", "folds", "seeds"),
)
# model/loss is a config group, too.
SCORES = (
    "val/",
    "test/",
    "oof/",
    "model/acc",
    # F-beta of any beta; a config group of the user's may be called model/fusion.
    *(f"model/f{digit}" for digit in range(10)),
    "model/r2",
    "model/mae",
    "model/rmse",
    "model/spearman",
)
_PREFIX = "config:"
_PHASES = "schedule.phases."
# Config groups whose options set keys anywhere.
GLOBAL = ("experiment", "debug", "local")


# Tasks are built on this folder, so it cannot import theirs: it says what it needs of one.
class Joint(Protocol):
    """What a cross-validation asks the task of its runs; see `Task`."""

    def joint_scores(
        self, predictions: pd.DataFrame, classes: Sequence[str], parts: NDArray[np.integer]
    ) -> dict[str, float]:
        """Return scores by name of predictions that several runs made."""

    def joint_facts(self, predictions: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
        """Return what the task learns from them."""


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
        task: what a label is.
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
    task: Joint
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
    is left out: with `schedule=quick,minimal` the keys of their phases add nothing. So is a key that only
    refused runs name, which may be a slip of the pen. A key that is named like another column of such a table
    is headed `config:KEY`.
    """
    is_legal = [not is_refused(run) for run in runs]
    is_whole = [bool(run.summary) or len(run.metrics) > 0 for run in runs]
    chosen = [{group: option for group, option in run.choices.items() if _is_setting(group)} for run in runs]
    options = _differing(chosen, is_whole, is_legal)
    keys = _joined(_differing([settings(run) for run in runs], is_whole, is_legal))
    kept = [key for key in keys if key not in options and not _follows(keys[key], key, options)]
    columns = {**options, **{key: keys[key] for key in kept}}
    return pd.DataFrame({heading(key): cells for key, cells in columns.items()}, index=range(len(runs)))


def with_options(runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Return the runs with unknown `choices`, which are empty, filled in.

    Each option is that of a run with the same keys of the group, or `?`.
    """
    known = [run for run in runs if run.choices]
    groups = dict.fromkeys(group for run in known for group in run.choices)
    return [
        run if run.choices else replace(run, choices={group: _option(run, group, known) for group in groups})
        for run in runs
    ]


def _option(run: RunRecord, group: str, known: Sequence[RunRecord]) -> str:
    own = _keys_of(run, group)
    alike = (each.choices[group] for each in known if group in each.choices and _keys_of(each, group) == own)
    return next(alike, UNKNOWN) if own else UNKNOWN


def _keys_of(run: RunRecord, group: str) -> dict[str, object]:
    prefix = f"{group.replace('/', '.')}."
    return {key: value for key, value in run.config.items() if key.startswith(prefix)}


def is_refused(run: RunRecord) -> bool:
    """Return whether a mistake of the user ended a run before its first epoch."""
    return run.status == "input" and run.metrics.empty


def heading(setting: str) -> str:
    """Return the heading of a setting's column, which no other column of a table of runs has.

    >>> heading("seed"), heading("epochs"), heading("config:epochs")
    ('seed', 'config:epochs', 'config:config:epochs')
    """
    return f"{_PREFIX}{setting}" if setting in RESERVED or setting.startswith((*SCORES, _PREFIX)) else setting


def settings(run: RunRecord) -> dict[str, object]:
    """Return the keys of a run's config that determine what it computes."""
    return {key: value for key, value in run.config.items() if _is_setting(key)}


def setting_text(value: object) -> str:
    """Return a value as it is typed on the command line; 0 and 0.0 are the same setting."""
    return written(value, number="{:.12g}".format)


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Return each dotted key's shortest ending that no other key has; a key of a phase names the phase.

    >>> short_names(["schedule.phases.head.lr", "model.optimizer.lr", "seed"])
    {'schedule.phases.head.lr': 'head.lr', 'model.optimizer.lr': 'optimizer.lr', 'seed': 'seed'}
    """
    endings = {key: _endings(key) for key in keys}
    counts = Counter(ending for each in endings.values() for ending in each)
    return {
        key: next((e for e in each if counts[e] == 1 and _is_clear(e, key)), key)
        for key, each in endings.items()
    }


def _differing(
    rows: Sequence[Mapping[str, object]], is_whole: Sequence[bool], is_legal: Sequence[bool]
) -> dict[str, list[str]]:
    """Return the columns of the legal rows' names with more than one value.

    A value that a row lacks is unknown if the row is not whole.
    """
    legal = [row for row, is_named in zip(rows, is_legal, strict=True) if is_named]
    names = dict.fromkeys(name for row in legal for name in row)
    columns = {name: [_cell(*pair, name) for pair in zip(rows, is_whole, strict=True)] for name in names}
    return {name: column for name, column in columns.items() if len(set(column) - {UNKNOWN}) > 1}


def _joined(columns: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return the columns of keys with a key and its `_target_` in one: a run has either a name or a class.

    >>> _joined({"model.backbone": ["lite0", ""], "model.backbone._target_": ["", "my.Net"]})
    {'model.backbone': ['lite0', 'my.Net']}
    """
    found: dict[str, list[str]] = {}
    for key, cells in columns.items():
        name = key.removesuffix("._target_")
        short = name if name in columns else key
        pairs = zip(found.get(short, cells), cells, strict=True)
        # A run that never began lacks one of the two; the other is known.
        found[short] = [cell if was in ("", UNKNOWN) else was for was, cell in pairs]
    return found


def _cell(row: Mapping[str, object], is_whole: bool, name: str) -> str:
    if name in row:
        return setting_text(row[name])
    # A run whose config cannot be read, or that never began, differs in nothing that it does not name.
    return "" if row and is_whole else UNKNOWN


def _follows(column: Sequence[str], key: str, options: Mapping[str, Sequence[str]]) -> bool:
    """Return whether the option of a config group that holds the key determines its value."""
    for group, chosen in options.items():
        holds = group in GLOBAL or key.startswith(f"{group.replace('/', '.')}.")
        pairs = set(zip(chosen, column, strict=True))
        known = {(option, value) for option, value in pairs if option != UNKNOWN}
        # One value for each option: as many pairs as options.
        is_fixed = len(known) == len({option for option, _ in known})
        # Where the option is unknown, a value that no known option has is shown.
        if holds and is_fixed and {value for _, value in pairs} == {value for _, value in known}:
            return True
    return False


def _is_setting(key: str) -> bool:
    is_own = key.partition(".")[0].partition("/")[0] not in NO_SETTINGS
    return is_own and not key.startswith(_PRUNING)


def _endings(key: str) -> list[str]:
    parts = key.split(".")
    return [".".join(parts[start:]) for start in reversed(range(len(parts)))]


def _is_clear(ending: str, key: str) -> bool:
    # An lr alone would not say of which phase. It is counted nevertheless, so that no other key is called lr.
    return not key.startswith(_PHASES) or len(ending) >= len(key.removeprefix(_PHASES))
