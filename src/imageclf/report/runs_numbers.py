"""The columns of a table of runs, as the terminal and the page show them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from imageclf.analysis.run_settings import short_names
from imageclf.analysis.runs_table import setting_columns
from imageclf.report.page import ABSENT, duration, score_text

# Letters of a number that a person may have typed.
_TYPED = 7
# The best candidate is no epoch, as the column best_epoch is.
_TITLES = {"val/acc_best": "best candidate", "val/acc_best_crossfit": "best candidate, cross-fitted"}
_SHOWN_SCORES = (
    *("model/acc", "val/acc", "val/acc_tta", "val/acc_best", "val/acc_best_crossfit"),
    *("val/loss", "test/acc"),
    *("model/r2", "model/mae", "model/rmse"),
)


@dataclass(frozen=True)
class Column:
    """A column ready to print; if they do not all fit, those of the highest `rank` are left out first."""

    name: str
    title: str
    is_number: bool
    rank: int
    cells: list[str]


def run_columns(table: pd.DataFrame, settings: Sequence[str], sort: str) -> list[Column]:
    """Return the columns of `run_table` to show, in reading order; of those that are blank only rank 0.

    Args:
        table: of runs on one data set.
        settings: its columns that are settings to show.
        sort: the column that orders the runs; it is always shown.
    """
    titles = short_names(settings)
    # What a run reports stands before what ranks it.
    first = [name for name in (*(["model/acc"] if sort == "val/acc" else []), sort) if _is_score(name, table)]
    rest = [name for name in _SHOWN_SCORES if _is_score(name, table) and name not in first]
    labels = [name for name in ("task_name", "tags") if name in table]
    columns = [
        _text(table, "run", "run", rank=0),
        Column("status", "status", False, 0, status_words(table)),
        # The score that orders them stands where a narrow window shows it.
        *_scores(table, first, rank=0),
        *(_setting(table, name, titles[name]) for name in settings),
        *(_text(table, name, name.replace("_", " "), rank=2) for name in labels),
        *_scores(table, rest, rank=2),
        Column("epochs", "epochs", True, 0, _epochs(table)),
        Column(
            "best_epoch", "best epoch", True, 2, _present(table["best_epoch"], lambda epoch: str(int(epoch)))
        ),
        Column("seconds", "time", True, 1, _present(table["seconds"], duration)),
    ]
    # What runs on other data sets have, those of this one may lack.
    return [each for each in columns if each.rank == 0 or set(each.cells) - {"", ABSENT}]


def status_words(table: pd.DataFrame) -> list[str]:
    """Return the status of each run in words; a mistake of the user may have ended it at once."""
    mistaken = ["failed" if done else "not started" for done in table["epochs_done"]]
    pairs = zip(table["status"], mistaken, strict=True)
    return [words if status == "input" else str(status) for status, words in pairs]


def fold_columns(table: pd.DataFrame) -> list[Column]:
    """Return the columns of `fold_table` to show, with scores as mean ± standard deviation."""
    settings = setting_columns(table)
    titles = short_names(settings)
    done = [f"{done} of {folds}" for done, folds in zip(table["folds_done"], table["folds"], strict=True)]
    return [
        *(_setting(table, name, titles[name]) for name in settings),
        Column("folds", "folds", True, 0, done),
        *_scores(table, [name for name in map(str, table) if name.startswith("oof/")], rank=0),
        *_mean_columns(table),
    ]


def seed_columns(table: pd.DataFrame) -> list[Column]:
    """Return the columns of `seed_table` to show, with scores as mean ± standard deviation."""
    settings = setting_columns(table)
    titles = short_names(settings)
    return [
        Column("seeds", "seeds", True, 0, [str(count) for count in table["seeds"]]),
        *(_setting(table, name, titles[name]) for name in settings),
        *_mean_columns(table),
    ]


def _mean_columns(table: pd.DataFrame) -> list[Column]:
    means = [name for name in _SHOWN_SCORES if f"{name} mean" in table]
    return [Column(name, _TITLES.get(name, name), True, 2, _spreads(table, name)) for name in means]


def _scores(table: pd.DataFrame, names: Sequence[str], rank: int) -> list[Column]:
    return [
        Column(name, _TITLES.get(name, name), True, rank, [score_text(name, v) for v in table[name]])
        for name in names
    ]


def _is_score(name: str, table: pd.DataFrame) -> bool:
    return "/" in name and name in table


def _spreads(table: pd.DataFrame, name: str) -> list[str]:
    pairs = zip(table[f"{name} mean"], table[f"{name} std"], strict=True)
    return [f"{score_text(name, mean)} ± {score_text(name, spread)}" for mean, spread in pairs]


def _text(table: pd.DataFrame, name: str, title: str, rank: int) -> Column:
    return Column(name, title, False, rank, [str(value) for value in table[name]])


def _setting(table: pd.DataFrame, name: str, title: str) -> Column:
    return Column(name, title, False, 1, setting_texts([str(value) for value in table[name]]))


def setting_texts(values: Sequence[str]) -> list[str]:
    """Return the values of a setting to show: a search draws numbers of 17 digits, and four will do.

    All stay as they are if two of them would look alike.

    >>> setting_texts(["0.396437321265", "0.5"]), setting_texts(["0.12345678", "0.12345679"])
    (['0.3964', '0.5'], ['0.12345678', '0.12345679'])
    """
    short = [_in_four_digits(value) for value in values]
    return short if len(set(short)) == len(set(values)) else list(values)


def _in_four_digits(text: str) -> str:
    # Not what was typed, such as 0.00001, nor what only looks like a number, such as a name of ten digits.
    if "." not in text or len(text) <= _TYPED:
        return text
    try:
        return f"{float(text):.4g}"
    except ValueError:
        return text


def _epochs(table: pd.DataFrame) -> list[str]:
    pairs = zip(table["epochs_done"], table["epochs"], strict=True)
    return [f"{done}/{'?' if pd.isna(total) else int(total)}" for done, total in pairs]


def _present(values: pd.Series, show: Callable[[float], str]) -> list[str]:
    return [ABSENT if pd.isna(value) else show(value) for value in values]
