"""The sizes of pictures, as histograms."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from imageclf.analysis.sizes import LIMIT, measures
from imageclf.report.plots.style import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    add_legend,
    label_axes,
    new_row,
    whole_axis,
    write_at_top,
)
from imageclf.schedule.size import PictureSize, edges

_COLOURS = {"width": BLUE, "height": ORANGE, "shorter side": GREEN}
_MOST_BINS = 60


def sizes_figure(pictures: pd.DataFrame, size: PictureSize, width: float = 10.8) -> Figure:
    """Draw histograms of widths, heights and shorter sides, with a mark at each side of `size`.

    The figure is `width` inches wide. If a side has 1000 pixels or more there are two plots: of all sides,
    and of the shorter ones.
    """
    sides = measures(pictures)
    large = any((values >= LIMIT).any() for values in sides.values())
    figure, row = new_row(width, 3.4, 2 if large else 1)
    _draw(row[0], sides, size)
    if large:
        _draw(row[1], {name: values[values < LIMIT] for name, values in sides.items()}, size)
        for axes, title in zip(row, ("all", f"less than {LIMIT} pixels"), strict=True):
            axes.set_title(title, fontsize=9, color=GREY, loc="left")
    # One legend: the colours mean the same in both.
    add_legend(row[0])
    return figure


def _draw(axes: Axes, sides: dict[str, NDArray[np.int64]], size: PictureSize) -> None:
    bins = _bins(np.concatenate(list(sides.values())))
    # Only one is filled: three tints on top of each other would be grey.
    axes.hist(sides["shorter side"], bins=bins, color=_COLOURS["shorter side"], alpha=0.18)
    for name, values in sides.items():
        axes.hist(values, bins=bins, histtype="step", color=_COLOURS[name], linewidth=1.5, label=name)
    # Room for the text of the mark above the highest bar.
    axes.margins(y=0.13)
    for side in set(edges(size)):
        _mark(axes, side, f"data.size={size}", bins[0], bins[-1])
    whole_axis(axes.yaxis)
    label_axes(axes, "pixels", "pictures")


def _mark(axes: Axes, side: int, text: str, low: float, high: float) -> None:
    # A mark far away would squeeze the histogram into a corner.
    if not low - (high - low) <= side <= high + (high - low):
        return
    axes.axvline(side, color=INK, linewidth=1, linestyle=(0, (4, 3)))
    write_at_top(axes, text, (side, 1), (4, -2), va="top")


def _bins(values: NDArray[np.int64]) -> list[float]:
    """Return the edges of bins of equal width, between whole numbers of pixels."""
    if not values.size:
        return [0.0, float(LIMIT)]
    low, high = int(values.min()), int(values.max())
    step = max(1, -(-(high - low + 1) // _MOST_BINS))
    # A single size would be a block as wide as the plot.
    margin = 5 * step if high - low < 10 else 0
    return [edge - 0.5 for edge in range(low - margin, high + margin + step + 1, step)]
