"""Some pictures: whole, as the network sees them, and augmented as in training.

Source: lesson 2 of fast.ai: `get_augs()` and `plots(ims, rows=2)`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from imageclf.report.plots.style import GREY

NUM_VIEWS = 5
"""The plain view, and four augmented ones."""

_TITLES = ("whole picture", "as validated", "augmented", "", "", "")
_ROW = 1.95  # inches


class Sample(NamedTuple):
    """A picture on the sheet: its class or "", the whole of it, small, `[H, W, 3]`, and views of it.

    There are `NUM_VIEWS` of them, `[NUM_VIEWS, H, W, 3]`, the plain view first.
    """

    label: str
    whole: NDArray[np.uint8]
    views: NDArray[np.uint8]


def sheet_figure(samples: Sequence[Sample]) -> Figure:
    """Draw a row per picture: the whole picture, what the network sees of it, and augmented views."""
    figure = Figure(figsize=(10.8, _ROW * len(samples) + 0.3), layout="constrained", facecolor="white")
    grid = figure.add_gridspec(len(samples), len(_TITLES))
    for row, sample in enumerate(samples):
        for column, picture in enumerate((sample.whole, *sample.views)):
            axes = figure.add_subplot(grid[row, column])
            axes.imshow(picture)
            axes.set_axis_off()
            axes.set_title(_TITLES[column] if row == 0 else "", fontsize=8.5, color=GREY, loc="left")
            if column == 0:
                _name(axes, sample.label)
    return figure


def _name(axes: Axes, label: str) -> None:
    # Of a long name the beginning: the whole one is in the table of classes.
    name = label if len(label) <= 24 else f"{label[:23]}…"
    # parse_math: a dollar sign in a name is no formula.
    axes.text(0, -0.04, name, transform=axes.transAxes, va="top", fontsize=8.5, color=GREY, parse_math=False)
