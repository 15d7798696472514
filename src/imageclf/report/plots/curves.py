"""Curves of a run over its steps and epochs: learning rates, losses, accuracy."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from imageclf.report.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    add_legend,
    label_axes,
    label_epochs,
    new_figure,
    percent_axis,
    shade_phases,
)


def learning_rate_figure(plan: pd.DataFrame, width: float = 10.8) -> Figure:
    """Draw the learning rate of each layer group over the steps of a plan, `width` inches wide.

    `plan` has a row per training step: `step`, `phase` and a column `lr/<group>` per group; 0 (frozen) and
    NaN (`auto`, not found yet) leave a gap. The axis is logarithmic if the groups' peaks differ more than
    tenfold.
    """
    figure, axes = new_figure(width, 3.4)
    rates = plan.filter(regex="^lr/").astype("float64")
    # Frozen groups are not drawn.
    rates = rates.where(rates > 0)
    colours = _group_colours(rates.shape[1])
    # A gap between phases, a vertical line at a restart within a phase.
    first = plan["phase"].ne(plan["phase"].shift())
    for colour, (column, values) in zip(colours, rates.items(), strict=True):
        steps, heights = (_broken(series, first) for series in (plan["step"], values))
        axes.plot(steps, heights, color=colour, linewidth=1.6, label=str(column).removeprefix("lr/"))
    shade_phases(axes, list(plan["phase"]), list(plan["step"]))
    label_axes(axes, "training step", "learning rate")
    _scale_rates(axes, rates.groupby(plan["phase"]).max().to_numpy())
    _mark_unknown(axes, plan, rates)
    add_legend(axes)
    return figure


def loss_figure(metrics: pd.DataFrame) -> Figure:
    """Draw the training loss and, if there is one, the validation loss over the epochs.

    `metrics` has a row per epoch: `epoch`, `phase`, `train/loss` and perhaps `val/loss`, NaN where not
    measured.
    """
    curves = {"train/loss": ("training", BLUE), "val/loss": ("validation", ORANGE)}
    return _epoch_figure(metrics, curves, "loss")


def accuracy_figure(metrics: pd.DataFrame) -> Figure:
    """Draw the validation accuracy over the epochs; test-time augmentation is drawn as points.

    `metrics` has a row per epoch: `epoch`, `phase`, `val/acc` and perhaps `val/acc_tta`, fractions in 0..1.
    """
    curves = {"val/acc": ("validation", ORANGE), "val/acc_tta": ("with TTA", GREEN)}
    figure = _epoch_figure(metrics, curves, "accuracy")
    percent_axis(figure.axes[0].yaxis, None)
    return figure


def _epoch_figure(metrics: pd.DataFrame, curves: dict[str, tuple[str, str]], y: str) -> Figure:
    figure, axes = new_figure(4.6, 3.2)
    for column, (label, colour) in curves.items():
        # A column may be blank: without validation, or before the first TTA.
        if column in metrics and metrics[column].notna().any():
            known = metrics[metrics[column].notna()]
            line = "D" if column.endswith("_tta") else "o-"
            axes.plot(known["epoch"], known[column], line, color=colour, markersize=4, label=label)
    shade_phases(axes, list(metrics["phase"]), list(metrics["epoch"]))
    label_epochs(axes, y)
    add_legend(axes)
    return figure


def _broken(values: pd.Series, first: pd.Series) -> np.ndarray:
    """Return the values with a NaN before each place where `first` is true."""
    return np.insert(values.to_numpy(dtype=np.float64), np.flatnonzero(first), np.nan)


def _group_colours(count: int) -> list[tuple[float, ...]]:
    """Return blues from faint to full for the groups of the body, and orange for the head, which is last."""
    # Of one blue, so that a page may exchange it; from 0.4: fainter lines are hardly visible.
    body = [to_rgba(BLUE, alpha) for alpha in np.linspace(0.4, 1, max(count - 1, 1))]
    return [*body[: count - 1], to_rgba(ORANGE)]


def _scale_rates(axes: Axes, peaks: np.ndarray) -> None:
    known = peaks[peaks > 0]
    if known.size and known.max() > 10 * known.min():
        axes.set_yscale("log")
        # A cosine ends near zero: up to two decades below the lowest peak show its shape.
        axes.set_ylim(10 ** math.floor(math.log10(known.min()) - 1.5), known.max() * 1.6)
    else:
        axes.set_ylim(bottom=0)
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 3), useMathText=True)
        axes.yaxis.get_offset_text().set(color=GREY, fontsize=9)


def _mark_unknown(axes: Axes, plan: pd.DataFrame, rates: pd.DataFrame) -> None:
    # The head always trains, so only an unknown rate leaves all groups blank.
    blank = rates.isna().all(axis=1)
    for _, steps in plan[blank].groupby("phase", sort=False)["step"]:
        axes.text(
            steps.mean(),
            0.5,
            "auto: not\nfound yet",
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="center",
            fontsize=9,
            color=GREY,
        )
