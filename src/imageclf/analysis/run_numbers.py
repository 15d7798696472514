"""The cells of a table of runs, as the terminal and the page show them."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from imageclf.analysis.report_numbers import duration, percent
from imageclf.analysis.run_settings import short_names

_SHOWN_SCORES = ("val/acc", "val/acc_tta", "val/acc_best", "val/loss", "test/acc")
_ABSENT = "–"


@dataclass(frozen=True)
class Column:
    """A column ready to print; `is_setting`: it may be left out where room is short."""

    name: str
    title: str
    is_number: bool
    is_setting: bool
    cells: list[str]


def run_columns(table: pd.DataFrame, settings: Sequence[str], sort: str) -> list[Column]:
    """Return the columns of `run_table` that are worth a look, in reading order.

    Args:
        table: of runs.
        settings: its columns in which the runs were told different things.
        sort: is shown whatever it is.
    """
    titles = short_names(settings)
    scores = [name for name in dict.fromkeys((*_SHOWN_SCORES, sort)) if name in table and "/" in name]
    labels = [name for name in ("task_name", "tags") if name in table]
    return [
        *(_text(table, name, name.replace("_", " ")) for name in ("run", "status", *labels)),
        *(_text(table, name, titles[name], is_setting=True) for name in settings),
        *(Column(name, name, True, False, [score_text(name, v) for v in table[name]]) for name in scores),
        Column("epochs", "epochs", True, False, _epochs(table)),
        Column("best_epoch", "best epoch", True, False, [_whole(v) for v in table["best_epoch"]]),
        Column("seconds", "time", True, False, [_time(value) for value in table["seconds"]]),
    ]


def fold_columns(table: pd.DataFrame) -> list[Column]:
    """Return the columns of `fold_table` that are worth a look: scores as mean ± standard deviation."""
    own = ("folds_done", "folds")
    settings = [name for name in table if name not in own and "/" not in name]
    titles = short_names(settings)
    means = [name for name in _SHOWN_SCORES if f"{name} mean" in table]
    done = [f"{done} of {folds}" for done, folds in zip(table["folds_done"], table["folds"], strict=True)]
    return [
        *(_text(table, name, titles[name], is_setting=True) for name in settings),
        Column("folds", "folds", True, False, done),
        Column("oof/acc", "out-of-fold acc", True, False, [percent(v, 1000) for v in table["oof/acc"]]),
        Column("oof/loss", "out-of-fold loss", True, False, [f"{value:.4f}" for value in table["oof/loss"]]),
        *(Column(name, name, True, False, _spreads(table, name)) for name in means),
    ]


def score_text(name: str, value: float) -> str:
    """Return a score as text: accuracies in percent, all else with four decimals.

    >>> score_text("val/acc_tta", 0.9375), score_text("val/loss", 0.21)
    ('93.75 %', '0.2100')
    """
    if pd.isna(value):
        return _ABSENT
    return percent(value, 1000) if "/acc" in name else f"{value:.4f}"


def _spreads(table: pd.DataFrame, name: str) -> list[str]:
    pairs = zip(table[f"{name} mean"], table[f"{name} std"], strict=True)
    return [f"{score_text(name, mean)} ± {score_text(name, spread)}" for mean, spread in pairs]


def _text(table: pd.DataFrame, name: str, title: str, is_setting: bool = False) -> Column:
    return Column(name, title, False, is_setting, [str(value) for value in table[name]])


def _epochs(table: pd.DataFrame) -> list[str]:
    pairs = zip(table["epochs_done"], table["epochs"], strict=True)
    return [f"{done}/{'?' if pd.isna(total) else int(total)}" for done, total in pairs]


def _whole(value: float) -> str:
    return _ABSENT if pd.isna(value) else str(int(value))


def _time(value: float) -> str:
    return _ABSENT if pd.isna(value) else duration(value)
