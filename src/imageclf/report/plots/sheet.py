"""One picture as it is, and augmented as in training.

Source: lesson 2 of fast.ai: `get_augs()` and `plots(ims, rows=2)`.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from imageclf.report.plots.style import GREY

NUM_VIEWS = 7
"""The picture as it is, and six augmented views."""


def sheet_figure(views: NDArray[np.uint8], width: float = 10.8) -> Figure:
    """Draw a large picture and six augmented views, `width` inches wide.

    `views` is `[7, size, size, 3]`, the picture first.
    """
    figure = Figure(figsize=(width, width / 2.4), layout="constrained", facecolor="white")
    grid = figure.add_gridspec(2, 5)
    _show(figure.add_subplot(grid[:, :2]), views[0], "as it is")
    for place, view in enumerate(views[1:]):
        axes = figure.add_subplot(grid[place // 3, 2 + place % 3])
        _show(axes, view, "augmented" if place == 0 else "")
    return figure


def _show(axes: Axes, picture: NDArray[np.uint8], title: str) -> None:
    axes.imshow(picture)
    axes.set_axis_off()
    # Aligned at the top: the large picture is not as high as the two rows.
    axes.set_anchor("NW")
    axes.set_title(title, fontsize=8.5, color=GREY, loc="left")
