"""The numbers that open the page about a data set."""

from collections.abc import Sequence

import pandas as pd

from imageclf.analysis.balance import SPLITS
from imageclf.analysis.problems import Problem, count_kinds
from imageclf.analysis.sizes import size_rows
from imageclf.report.run_numbers import Card, percent

_TITLES = dict(zip(SPLITS, ("Training", "Validation", "Test"), strict=True))


def data_cards(pictures: pd.DataFrame, balance: pd.DataFrame, problems: Sequence[Problem]) -> list[Card]:
    """Return the headline numbers of a data set, in reading order.

    Args:
        pictures: a row per file.
        balance: a row per class, as `class_balance` gives it.
        problems: all of them.
    """
    broken = int((pictures["fault"] != "").sum())
    return [
        Card("pictures", "Pictures", f"{len(pictures):,}", f"{broken:,} cannot be read" if broken else ""),
        Card("classes", "Classes", f"{len(balance):,}", _spread(balance)),
        *_split_cards(pictures),
        *_size_cards(pictures),
        Card("problems", "Problems", f"{len(problems):,}", _kinds(problems)),
    ]


def pixels(value: float) -> str:
    """Return a number of pixels as text, with a decimal only where it is not whole.

    >>> pixels(1200.0), pixels(96.5)
    ('1,200', '96.5')
    """
    return f"{value:,.1f}".removesuffix(".0")


def _split_cards(pictures: pd.DataFrame) -> list[Card]:
    counts = {split: int((pictures["split"] == split).sum()) for split in SPLITS}
    return [
        Card(split, _TITLES[split], f"{count:,}", percent(count / len(pictures)))
        for split, count in counts.items()
        if count
    ]


def _size_cards(pictures: pd.DataFrame) -> list[Card]:
    shorter = [row for row in size_rows(pictures) if row.name == "shorter side"]
    title = "Shorter side, median"
    return [
        Card("sizes", title, f"{pixels(row.median)} px", f"{row.smallest:,} to {row.largest:,} px")
        for row in shorter
    ]


def _kinds(problems: Sequence[Problem]) -> str:
    kinds = len(count_kinds(problems))
    return f"of {kinds} kind{'' if kinds == 1 else 's'}" if kinds else ""


def _spread(balance: pd.DataFrame) -> str:
    totals = balance[list(SPLITS)].sum(axis=1)
    low, high = int(totals.min()), int(totals.max())
    return f"{low:,} pictures each" if low == high else f"{low:,} to {high:,} pictures each"
