"""The plot of a confusion matrix, of two classes or of hundreds."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from numpy.typing import NDArray

from imageclf.report.plots.style import (
    BLUE,
    GRID,
    INK,
    ORANGE,
    PAPER,
    is_narrow,
    label_axes,
    new_figure,
    plain,
)

_PITCH = 0.11  # inches between two names that can still be read
_MOST_LINES = 150  # classes; beyond that lines between cells would hide the cells
_MOST_NUMBERS = 25  # classes; beyond that the numbers would not fit into the cells


def confusion_figure(matrix: NDArray[np.integer], classes: Sequence[str], width: float = 10.8) -> Figure:
    """Draw a confusion matrix `[C, C]`, the truth in rows: correct predictions in blue, mistakes in orange.

    The intensity of a cell is its share of the row; that of mistakes is the square root of it, so that one
    picture in a hundred is visible. Up to 25 classes the counts are written into the cells; with many
    classes only some of them are named. The figure is at most `width` inches wide.
    """
    names = [plain(name, 14 if is_narrow(width) else 22) for name in classes]
    num_classes = len(names)
    margin = 0.65 + 0.075 * max(len(name) for name in names)
    cell_width = min(_cell_size(num_classes), (width - margin) / num_classes)
    # With many classes rows may be taller than columns are wide: a page scrolls down, not sideways.
    cell_height = max(cell_width, min(_PITCH, (6 if is_narrow(width) else 14) / num_classes))
    figure, axes = new_figure(margin + cell_width * num_classes, margin + cell_height * num_classes)
    axes.grid(visible=False)
    axes.set_xlim(-0.5, num_classes - 0.5)
    axes.set_ylim(num_classes - 0.5, -0.5)
    axes.set_aspect("equal" if cell_width == cell_height else "auto")
    _draw_cells(axes, matrix)
    _name_classes(axes, names, (cell_width, cell_height))
    _separate_cells(axes, num_classes)
    if num_classes <= _MOST_NUMBERS:
        _write_counts(axes, matrix, 9 if cell_width >= 0.4 else 7)
    return figure


def _cell_size(num_classes: int) -> float:
    """Return the size of a cell in inches, larger with few classes."""
    return min(0.95, max(0.34, 4.6 / num_classes))


def _draw_cells(axes: Axes, matrix: NDArray[np.integer]) -> None:
    shares, places = _shares(matrix), np.argwhere(matrix)
    squares = [
        [(x - 0.5, y - 0.5), (x + 0.5, y - 0.5), (x + 0.5, y + 0.5), (x - 0.5, y + 0.5)] for y, x in places
    ]
    colours = [
        to_rgba(BLUE, shares[y, x]) if y == x else to_rgba(ORANGE, math.sqrt(shares[y, x])) for y, x in places
    ]
    # Only of cells that hold pictures: of a thousand classes nearly all are empty.
    axes.add_collection(PolyCollection(squares, facecolors=colours, edgecolors="none", zorder=0.5))


def _shares(matrix: NDArray[np.integer]) -> NDArray[np.float64]:
    # A class without pictures has an empty row: 0 / 1 instead of 0 / 0.
    shares: NDArray[np.float64] = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    return shares


def _name_classes(axes: Axes, names: list[str], cell: tuple[float, float]) -> None:
    num_classes = len(names)
    # 1e-9: rounding must not hide every second name if a cell has exactly the pitch.
    every_x, every_y = (math.ceil(_PITCH / size - 1e-9) for size in cell)
    size = 8.5 if num_classes <= 12 else 7.5 if num_classes <= 40 else 6.5
    flat = max(len(name) for name in names) * 0.085 <= cell[0]
    columns, rows = range(0, num_classes, every_x), range(0, num_classes, every_y)
    axes.set_xticks(columns, [names[column] for column in columns], rotation=0 if flat else 90)
    axes.set_yticks(rows, [names[row] for row in rows])
    for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        text.set(fontsize=size, color=INK, parse_math=False)
    label_axes(axes, "prediction", "truth")


def _separate_cells(axes: Axes, num_classes: int) -> None:
    axes.spines[:].set_visible(num_classes > _MOST_LINES)
    if num_classes > _MOST_LINES:
        return
    # Minor ticks between the cells draw the lines without an artist per cell.
    borders = np.arange(num_classes + 1) - 0.5
    axes.set_xticks(borders, minor=True)
    axes.set_yticks(borders, minor=True)
    axes.grid(which="minor", color=GRID, linewidth=1 if num_classes <= _MOST_NUMBERS else 0.3)


def _write_counts(axes: Axes, matrix: NDArray[np.integer], size: float) -> None:
    shares = _shares(matrix)
    for row, column in zip(*np.nonzero(matrix), strict=True):
        colour = PAPER if shares[row, column] > 0.55 else INK
        axes.text(
            column, row, str(matrix[row, column]), ha="center", va="center", fontsize=size, color=colour
        )
