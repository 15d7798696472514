"""The number of pictures of each class, as bars."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from imageclf.analysis.balance import SPLITS
from imageclf.report.plots.style import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    add_legend,
    is_narrow,
    label_axes,
    new_figure,
    plain,
)

_COLOURS = dict(zip(SPLITS, (BLUE, ORANGE, GREEN), strict=True))
_MOST_NAMES = 60


def balance_figure(balance: pd.DataFrame, width: float = 10.8) -> Figure:
    """Draw the number of pictures of each class, the largest first, stacked by split, `width` inches wide.

    More than 60 classes leave no room for their names: the bars are vertical then, without names.
    """
    totals = balance[list(SPLITS)].sum(axis=1)
    ordered = balance.iloc[np.argsort(-totals.to_numpy(), kind="stable")]
    if len(ordered) > _MOST_NAMES:
        return _upright(ordered, width)
    names = [plain(str(name), 18 if is_narrow(width) else 28) for name in ordered["label"]]
    figure, axes = new_figure(width, 0.9 + 0.26 * len(names))
    axes.grid(visible=False, axis="y")
    places, left = np.arange(len(names)), np.zeros(len(names))
    for split in _filled(ordered):
        axes.barh(places, ordered[split], left=left, height=0.72, color=_COLOURS[split], label=split)
        left += ordered[split].to_numpy()
    axes.set_yticks(places, names, fontsize=9, color=INK, parse_math=False)
    axes.set_ylim(len(names) - 0.5, -0.5)
    _write_totals(axes, left)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    label_axes(axes, "pictures", "")
    add_legend(axes)
    return figure


def _upright(ordered: pd.DataFrame, width: float) -> Figure:
    figure, axes = new_figure(width, 3.6)
    axes.grid(visible=False, axis="x")
    places, bottom = np.arange(1, len(ordered) + 1), np.zeros(len(ordered))
    for split in _filled(ordered):
        # No gaps: a thousand bars with slits between them would flicker.
        axes.bar(places, ordered[split], bottom=bottom, width=1, color=_COLOURS[split], label=split)
        bottom += ordered[split].to_numpy()
    axes.set_xlim(0.5, len(ordered) + 0.5)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    label_axes(axes, "classes, the largest first", "pictures")
    add_legend(axes)
    return figure


def _filled(balance: pd.DataFrame) -> list[str]:
    return [split for split in SPLITS if balance[split].any()]


def _write_totals(axes: Axes, totals: NDArray[np.float64]) -> None:
    # Room for the number behind the longest bar.
    axes.set_xlim(0, max(totals.max(), 1) * 1.06)
    for place, total in enumerate(totals):
        axes.annotate(
            f"{int(total):,}",
            (total, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=INK,
        )
