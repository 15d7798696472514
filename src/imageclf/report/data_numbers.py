"""The headline numbers of a data set."""

from collections.abc import Sequence

import pandas as pd

from imageclf.analysis.balance import SPLITS
from imageclf.analysis.problems import HINTS, Problem, count_kinds
from imageclf.analysis.sizes import size_rows
from imageclf.report.page import Card, percent, pixels
from imageclf.system.words import counted

_TITLES = dict(zip(SPLITS, ("Training", "Validation", "Test"), strict=True))


def data_cards(pictures: pd.DataFrame, balance: pd.DataFrame, problems: Sequence[Problem]) -> list[Card]:
    """Return the headline numbers of a data set, in reading order.

    `pictures` has a row per file, `balance` a row per class, see `class_balance`.
    """
    faults = [problem for problem in problems if problem.kind not in HINTS]
    alike = len(problems) - len(faults)
    broken = int((pictures["fault"] != "").sum())
    of_kinds = f"of {counted(len(count_kinds(faults)), 'kind')}" if faults else ""
    return [
        Card("pictures", "Pictures", f"{len(pictures):,}", f"{broken:,} cannot be read" if broken else ""),
        Card("classes", "Classes", f"{len(balance):,}", _class_sizes(balance)),
        *_label_cards(pictures, balance),
        *_split_cards(pictures),
        *_size_cards(pictures),
        Card("problems", "Problems", f"{len(faults):,}", of_kinds),
        *([Card("look_alikes", "Look-alikes", f"{alike:,}", "to look at")] if alike else []),
    ]


def data_sentence(pictures: pd.DataFrame, balance: pd.DataFrame) -> str:
    """Return what a data set is in a line: its classes, and the pictures of each split."""
    splits = [f"{card.value} {card.title.lower()} pictures" for card in _split_cards(pictures)]
    return ", ".join([counted(len(balance), "class", "classes"), *splits])


def _class_sizes(balance: pd.DataFrame) -> str:
    totals = balance[list(SPLITS)].sum(axis=1)
    low, high = int(totals.min()), int(totals.max())
    return f"{counted(low, 'picture')} each" if low == high else f"{low:,} to {high:,} pictures each"


def _label_cards(pictures: pd.DataFrame, balance: pd.DataFrame) -> list[Card]:
    """Return how many labels a picture has, where some have several."""
    # Each label of a picture adds its share of the labelled pictures.
    labels = balance["share"].sum()
    if labels < 1 + 1e-9:
        return []
    blank = int(((pictures["label"] == "") & pictures["split"].isin(["train", "valid"])).sum())
    return [Card("labels", "Labels per picture", f"{labels:.1f}", f"{blank:,} without any" if blank else "")]


def _split_cards(pictures: pd.DataFrame) -> list[Card]:
    counts = {split: int((pictures["split"] == split).sum()) for split in SPLITS}
    return [
        Card(split, _TITLES[split], f"{count:,}", percent(count / len(pictures)))
        for split, count in counts.items()
        if count
    ]


def _size_cards(pictures: pd.DataFrame) -> list[Card]:
    title = "Shorter side, median"
    return [
        Card("sizes", title, f"{pixels(row.median)} px", f"{row.smallest:,} to {row.largest:,} px")
        for row in size_rows(pictures)
        if row.name == "shorter side"
    ]
