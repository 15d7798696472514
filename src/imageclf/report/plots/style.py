"""The common style of all plots, and how a figure becomes a file.

Figures are plain `matplotlib.figure.Figure` objects: without pyplot there is no global state, and no display
is needed. One inch is 96 pixels in the report, so 8 points are about 11 pixels.
"""

import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from imageclf.system.files import write_bytes

BLUE, ORANGE, GREEN, INK, GREY, GRID = "#2f6fb3", "#d9772b", "#2f8f6b", "#1f2933", "#6b7785", "#e6e9ed"
_BAND = "#f3f5f8"


def new_figure(width: float, height: float) -> tuple[Figure, Axes]:
    """Return an empty figure of this size in inches, and its axes."""
    figure, (axes,) = new_row(width, height, 1)
    return figure, axes


def new_row(width: float, height: float, count: int) -> tuple[Figure, list[Axes]]:
    """Return an empty figure of this size in inches, and `count` axes side by side."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    row = [figure.add_subplot(1, count, place + 1) for place in range(count)]
    for axes in row:
        _style(axes)
    return figure, row


def _style(axes: Axes) -> None:
    # Otherwise the grid is drawn on top of bars and bands.
    axes.set_axisbelow(True)
    axes.grid(color=GRID, linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#b6bec8")
    # No tick marks: the grid shows where the labels belong.
    axes.tick_params(which="both", colors=GREY, labelsize=8, length=0)


def label_axes(axes: Axes, x: str, y: str) -> None:
    """Label both axes."""
    axes.set_xlabel(x, fontsize=8.5, color=GREY)
    axes.set_ylabel(y, fontsize=8.5, color=GREY)


def label_epochs(axes: Axes, y: str) -> None:
    """Label both axes of a curve over epochs, with whole numbers on the x axis."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    label_axes(axes, "epoch", y)


def add_legend(axes: Axes) -> None:
    """Put the legend in a row below the axes, where it hides no data."""
    handles, labels = axes.get_legend_handles_labels()
    axes.figure.legend(
        handles, labels, loc="outside lower center", ncols=8, fontsize=8, frameon=False, labelcolor=INK
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
    # About 7 pixels a letter at this size; exact widths are known only once the figure is drawn.
    letters_per_unit = axes.get_window_extent().width / 7 / (last - first)
    for number, (name, start, end) in enumerate(spans):
        if number % 2 == 0:
            axes.axvspan(start, end, color=_BAND, zorder=0, linewidth=0)
        if number:
            axes.axvline(start, color="#c3cad3", linewidth=0.8, zorder=1)
        _name_phase(axes, name, (start + end) / 2, narrow=len(name) > letters_per_unit * (end - start))


def _name_phase(axes: Axes, name: str, middle: float, narrow: bool) -> None:
    axes.annotate(
        # Vertical names take height, so they are cut earlier.
        plain(name, 14 if narrow else 28),
        (middle, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        va="bottom",
        rotation=90 if narrow else 0,
        fontsize=8,
        color=INK,
        parse_math=False,
    )


def plain(name: str, longest: int) -> str:
    """Return a name in one line of at most `longest` printable characters."""
    # A control character would make the SVG invalid XML.
    line = "".join(letter if letter.isprintable() else " " for letter in name)
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def png_bytes(figure: Figure) -> bytes:
    """Draw a figure as PNG, 150 pixels per inch."""
    return _draw(figure, "png")


def svg_bytes(figure: Figure) -> bytes:
    """Draw a figure as SVG with its text kept as text; the same figure gives the same bytes."""
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
        figure.savefig(content, format=form, dpi=150, metadata={"Date": None} if form == "svg" else None)
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
