"""How near predicted numbers come to the true ones, picture by picture."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from imageclf.report.plots.style import BLUE, GREY, label_axes, new_row

Numbers = NDArray[np.float64]

_MARK = 10  # square points


def numbers_figure(truth: Numbers, predicted: Numbers, width: float) -> Figure:
    """Draw predictions `[N]` over the truth, and beside them what they are off by; a point is a picture."""
    figure, (left, right) = new_row(width, 2.8, 2)
    ends = [min(truth.min(), predicted.min()), max(truth.max(), predicted.max())]
    left.plot(ends, ends, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    _draw(left, truth, predicted, "prediction")
    right.axhline(0, color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    _draw(right, truth, predicted - truth, "prediction minus truth")
    return figure


def _draw(axes: Axes, truth: Numbers, values: Numbers, name: str) -> None:
    axes.scatter(truth, values, s=_MARK, color=BLUE, alpha=0.6, linewidths=0, zorder=3)
    label_axes(axes, "truth", name)
