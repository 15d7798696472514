"""The reliability diagram: how often predictions are right, by how probable the model called them."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from imageclf.analysis.scores import Reliability
from imageclf.report.plots.style import BLUE, EDGE, GREY, ORANGE, label_axes, new_row, percent_axis

_MARK = 60  # square points of the largest mark


def calibration_figure(found: Reliability) -> Figure:
    """Draw the accuracy of each bin over its mean confidence, and below it the number of its pictures."""
    figure, (top, bottom) = new_row(4.6, 2.3, 2, heights=(3, 1))
    _draw_accuracies(top, found)
    _draw_counts(bottom, found)
    return figure


def _draw_accuracies(axes: Axes, found: Reliability) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=(0, (4, 3)))
    axes.vlines(found.confidence, found.accuracy, found.confidence, color=ORANGE, linewidth=1.5)
    sizes = 8 + _MARK * found.pictures / found.pictures.max()
    axes.scatter(found.confidence, found.accuracy, s=sizes, color=BLUE, zorder=3)
    axes.set_ylim(-0.03, 1.03)
    _share_axis(axes)
    percent_axis(axes.yaxis)
    label_axes(axes, "", "right")


def _draw_counts(axes: Axes, found: Reliability) -> None:
    axes.vlines(found.confidence, 0, found.pictures, color=EDGE, linewidth=7)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=2, integer=True))
    _share_axis(axes)
    label_axes(axes, "probability of the prediction", "pictures")


def _share_axis(axes: Axes) -> None:
    axes.set_xlim(0, 1.02)
    percent_axis(axes.xaxis)
