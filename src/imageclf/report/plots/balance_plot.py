"""Numbers of pictures of each class, as bars of several parts."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

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
    whole_axis,
)

_COLOURS = dict(zip(SPLITS, (BLUE, ORANGE, GREEN), strict=True))
_MOST_NAMES = 60


def balance_figure(balance: pd.DataFrame, width: float = 10.8) -> Figure:
    """Draw the number of pictures of each class, the largest first, stacked by split, `width` inches wide.

    More than 60 classes leave no room for their names: the bars are vertical then, without names.
    """
    totals = balance[list(SPLITS)].sum(axis=1).astype(int)
    return stacked_figure(balance.assign(end=[f"{total:,}" for total in totals]), _COLOURS, width)


def stacked_figure(rows: pd.DataFrame, colours: Mapping[str, str], width: float = 10.8) -> Figure:
    """Draw numbers of pictures of each class, the largest sum first, as stacked bars.

    More than 60 classes leave no room for their names: the bars are vertical then, without names. `rows` has
    the columns label, end, which is a text behind the bar, and one per part, as `colours` has.
    """
    filled = {part: colour for part, colour in colours.items() if rows[part].any()}
    totals = rows[list(colours)].sum(axis=1)
    ordered = rows.iloc[np.argsort(-totals.to_numpy(), kind="stable")]
    if len(ordered) > _MOST_NAMES:
        return _upright(ordered, filled, width)
    names = [plain(str(name), 18 if is_narrow(width) else 28) for name in ordered["label"]]
    figure, axes = new_figure(width, 0.9 + 0.26 * len(names))
    axes.grid(visible=False, axis="y")
    places, left = np.arange(len(names)), np.zeros(len(names))
    for part, colour in filled.items():
        axes.barh(places, ordered[part], left=left, height=0.72, color=colour, label=part)
        left += ordered[part].to_numpy()
    axes.set_yticks(places, names, fontsize=9, color=INK, parse_math=False)
    axes.set_ylim(len(names) - 0.5, -0.5)
    ends = ordered["end"].tolist()
    # Room for the text behind the longest bar.
    axes.set_xlim(0, max(left.max(), 1) * (1 + 0.012 * max(map(len, ends))))
    for place, (total, end) in enumerate(zip(left, ends, strict=True)):
        at, unit = (total, place), "offset points"
        axes.annotate(end, at, xytext=(4, 0), textcoords=unit, va="center", fontsize=9, color=INK)
    whole_axis(axes.xaxis)
    label_axes(axes, "pictures", "")
    add_legend(axes)
    return figure


def _upright(ordered: pd.DataFrame, colours: Mapping[str, str], width: float) -> Figure:
    figure, axes = new_figure(width, 3.6)
    axes.grid(visible=False, axis="x")
    places, bottom = np.arange(1, len(ordered) + 1), np.zeros(len(ordered))
    for part, colour in colours.items():
        # No gaps: a thousand bars with slits between them would flicker.
        axes.bar(places, ordered[part], bottom=bottom, width=1, color=colour, label=part)
        bottom += ordered[part].to_numpy()
    axes.set_xlim(0.5, len(ordered) + 0.5)
    whole_axis(axes.yaxis)
    label_axes(axes, "classes, the largest first", "pictures")
    add_legend(axes)
    return figure
