"""The plot of a learning-rate search."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imageclf.report.plots.style import (
    BLUE,
    GREY,
    ORANGE,
    PAPER,
    label_axes,
    new_figure,
    plain,
    write_at_top,
)


def lr_find_figure(
    curve: pd.DataFrame, suggestion: float | None, method: str = "valley", reason: str | None = None
) -> Figure:
    """Draw the loss over the learning rate, raw and smoothed, and mark the suggestion.

    `curve` has the columns `lr`, `loss` and `smoothed`, a row per step of the search. Without a suggestion
    `reason` is written into the plot. The part where the loss diverges is cut off.

    Source: `learn.sched.plot()` of fast.ai 0.7, `learn.lr_find(suggest_funcs=valley)` of fast.ai 2.
    """
    figure, axes = new_figure(4.6, 3.2)
    axes.set_xscale("log")
    axes.plot(curve["lr"], curve["loss"], color=BLUE, alpha=0.3, linewidth=1, label="loss of the batch")
    axes.plot(curve["lr"], curve["smoothed"], color=BLUE, linewidth=1.8, label="smoothed")
    _limit_loss(axes, curve["smoothed"].to_numpy(dtype=np.float64))
    label_axes(axes, "learning rate", "training loss")
    if suggestion is None:
        _write_reason(axes, reason or "no reason was given")
    else:
        _mark_suggestion(axes, curve, suggestion, method)
    return figure


def _limit_loss(axes: Axes, smoothed: np.ndarray) -> None:
    finite = smoothed[np.isfinite(smoothed)]
    if finite.size == 0:
        return
    # The first third comes before the valley and before the loss diverges, whatever the range of the search.
    low, start = float(finite.min()), float(finite[: max(1, len(finite) // 3)].max())
    height = start - low if start > low else max(abs(start) * 0.1, 1e-6)
    axes.set_ylim(low - 0.35 * height, start + 0.6 * height)


def _mark_suggestion(axes: Axes, curve: pd.DataFrame, suggestion: float, method: str) -> None:
    # The suggestion need not be one of the rates that were tried.
    nearest = int(np.abs(np.log(curve["lr"].to_numpy(dtype=np.float64) / suggestion)).argmin())
    axes.axvline(suggestion, color=ORANGE, linewidth=1, linestyle=(0, (4, 3)))
    axes.plot([suggestion], [curve["smoothed"].iloc[nearest]], "o", color=ORANGE, markersize=7, zorder=4)
    # Near the right edge the text is to the left of the line, or it would be cut off.
    left = axes.transAxes.inverted().transform(axes.transData.transform((suggestion, 0)))[0] > 0.55
    words = f"{suggestion:.1e} ({plain(method, 28)})".replace("e-0", "e-")
    away, side = (-6, "right") if left else (6, "left")
    write_at_top(axes, words, (suggestion, 0.97), (away, 0), ha=side, va="top")


def _write_reason(axes: Axes, reason: str) -> None:
    text = textwrap.fill(f"No suggestion: {plain(reason, 200)}", 46)
    axes.text(
        0.5,
        0.96,
        text,
        transform=axes.transAxes,
        ha="center",
        va="top",
        fontsize=9,
        color=GREY,
        parse_math=False,
        bbox={"facecolor": PAPER, "edgecolor": "none", "alpha": 0.85},
    )
