"""The common style of all plots, and how a figure becomes a file.

Figures are plain `matplotlib.figure.Figure` objects: without pyplot there is no global state, and no display
is needed. One inch is 96 pixels in the report, so 9 points are 12 pixels.
"""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from imageclf.system.files import write_bytes

# The colours of all plots, as they are on white; page.css has a variable of each name for light and dark.
PALETTE = {
    "blue": "#2f6fb3",
    "orange": "#d9772b",
    "green": "#2f8f6b",
    "purple": "#8a4fa3",
    "pink": "#c2416b",
    "olive": "#7a6a2b",
    "ink": "#1f2933",
    "soft": "#5f6b78",
    "edge": "#b6bec8",
    "line": "#e3e7eb",
    "band": "#f3f5f8",
    "paper": "#ffffff",
}
BLUE, ORANGE, GREEN = (PALETTE[name] for name in ("blue", "orange", "green"))
INK, GREY, PAPER = (PALETTE[name] for name in ("ink", "soft", "paper"))
EDGE, GRID, BAND = (PALETTE[name] for name in ("edge", "line", "band"))


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """Return an empty figure of this size in inches, and its axes."""
    figure, (axes,) = new_row(width, height, 1)
    return figure, axes


def new_row(
    width: float, height: float, count: int, heights: Sequence[float] | None = None
) -> tuple[Figure, list[Axes]]:
    """Return an empty figure of `count` axes side by side, or one above the other where it is narrow.

    `width` is that of the figure, `height` that of its axes, in inches; `heights` share out the whole height.
    """
    columns = 1 if is_narrow(width) else count
    rows = count // columns
    figure = Figure(figsize=(width, height * rows), layout="constrained", facecolor="white")
    grid = figure.add_gridspec(rows, columns, height_ratios=heights)
    row = [figure.add_subplot(grid[place]) for place in range(count)]
    for axes in row:
        _style(axes)
    return figure, row


def is_narrow(width: float) -> bool:
    """Return whether a figure of this width in inches is for the screen of a telephone."""
    return width < 6


def _style(axes: Axes) -> None:
    # Otherwise the grid is drawn on top of bars and bands.
    axes.set_axisbelow(True)
    axes.grid(color=GRID, linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(EDGE)
    # No tick marks: the grid shows where the labels belong.
    axes.tick_params(which="both", colors=GREY, labelsize=9, length=0)


def label_axes(axes: Axes, x: str, y: str) -> None:
    """Label both axes."""
    axes.set_xlabel(x, fontsize=9, color=GREY)
    axes.set_ylabel(y, fontsize=9, color=GREY)


def whole_axis(axis: Axis) -> None:
    """Label an axis with whole numbers alone."""
    axis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def write_at_top(
    axes: Axes, text: str, place: tuple[float, float], away: tuple[float, float], **style: Any
) -> None:
    """Write a text `away` points from a place: an x of the data, and a y from 0 to 1, the top of the axes."""
    place_of: dict[str, Any] = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    # parse_math: a dollar sign in a name is no formula.
    axes.annotate(text, place, xytext=away, fontsize=9, color=INK, parse_math=False, **place_of, **style)


def percent_axis(axis: Axis, decimals: int | None = 0) -> None:
    """Label an axis of fractions in percent; `decimals` None: as many as the ticks need."""
    axis.set_major_formatter(PercentFormatter(1, decimals=decimals, symbol=" %"))


def add_legend(axes: Axes) -> None:
    """Put the legend in a row below the axes, where it hides no data."""
    handles, labels = axes.get_legend_handles_labels()
    axes.figure.legend(
        handles, labels, loc="outside lower center", ncols=4, fontsize=9, frameon=False, labelcolor=INK
    )


def shade_phases(axes: Axes, phases: Sequence[str], positions: Sequence[float]) -> None:
    """Shade every second phase, and write the name of each above its part of the x axis.

    `phases` and `positions` are `[N]`: the phase and the x position of each step or epoch, in order. A phase
    extends half a unit beyond its first and last position.
    """
    spans = _spans(phases, positions)
    if not spans:
        return
    # Matplotlib's own margin would leave unshaded strips at both ends.
    first, last = spans[0][1], spans[-1][2]
    axes.set_xlim(first, last)
    # About 8 pixels a letter at this size; exact widths are known only once the figure is drawn.
    letters_per_unit = axes.get_window_extent().width / 8 / (last - first)
    for number, (name, start, end) in enumerate(spans):
        if number % 2 == 0:
            axes.axvspan(start, end, color=BAND, zorder=0, linewidth=0)
        if number:
            axes.axvline(start, color=EDGE, linewidth=0.8, zorder=1)
        narrow = len(name) > letters_per_unit * (end - start)
        # Vertical names take height, so they are cut earlier.
        shown, turn = (plain(name, 14), 90) if narrow else (plain(name, 28), 0)
        write_at_top(axes, shown, ((start + end) / 2, 1), (0, 3), ha="center", va="bottom", rotation=turn)


def plain(name: str, longest: int) -> str:
    """Return a name in one line of at most `longest` printable characters."""
    # A control character would make the SVG invalid XML.
    line = "".join(letter if letter.isprintable() else " " for letter in name)
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def png_bytes(figure: Figure) -> bytes:
    """Draw a figure as PNG, 150 pixels per inch."""
    return _draw(figure, "png")


def svg_bytes(figure: Figure) -> bytes:
    """Draw a figure as SVG, its text kept as text, on no background; the same figure gives the same bytes."""
    # savefig has no argument for these two; the salt makes the ids in the file reproducible.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "imageclf"}):
        return _draw(figure, "svg")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG file, whole or not at all."""
    write_bytes(path, png_bytes(figure))


def _draw(figure: Figure, form: str) -> bytes:
    content = io.BytesIO()
    with warnings.catch_warnings():
        # In a script that DejaVu lacks, an SVG is drawn with the browser's fonts, a PNG shows boxes.
        warnings.filterwarnings("ignore", message=r"(?s)Glyph .* missing from font")
        is_svg = form == "svg"
        about = {"Date": None} if is_svg else None
        figure.savefig(content, format=form, dpi=150, metadata=about, transparent=is_svg)
    return content.getvalue()


def _spans(phases: Sequence[str], positions: Sequence[float]) -> list[tuple[str, float, float]]:
    spans: list[tuple[str, float, float]] = []
    for name, position in zip(phases, positions, strict=True):
        if spans and spans[-1][0] == name:
            spans[-1] = (name, spans[-1][1], position + 0.5)
        else:
            # Starting where the last one ended leaves no gap if epochs are missing.
            spans.append((name, spans[-1][2] if spans else position - 0.5, position + 0.5))
    return spans
