"""Curves over steps and epochs: learning rates, losses and accuracy of a run, a score of many runs."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from imageclf.report.plots.style import (
    BLUE,
    EDGE,
    GREEN,
    GREY,
    ORANGE,
    PALETTE,
    add_legend,
    label_axes,
    new_figure,
    percent_axis,
    shade_phases,
    whole_axis,
)

# The best runs get a colour each; more colours could not be told apart.
COLOURS = tuple(PALETTE[name] for name in ("blue", "orange", "green", "purple", "pink", "olive"))
_OTHERS = EDGE


def learning_rate_figure(
    plan: pd.DataFrame, shape: pd.DataFrame | None = None, width: float = 10.8
) -> Figure:
    """Draw the learning rate of each layer group over the steps of a plan.

    The axis is logarithmic if the groups' peaks differ more than tenfold.

    Args:
        plan: a row per training step: `step`, `phase` and a column `lr/<group>` per group; 0 (frozen) and NaN
            (`auto`, not found yet) leave a gap.
        shape: the same with any rate in place of those that are not found yet. Their phases are drawn dashed,
            as high as the highest known rate. None: they stay empty.
        width: of the figure, in inches.
    """
    figure, axes = new_figure(width, 3.4)
    rates = _rates(plan)
    # The head always trains, so only an unknown rate leaves all groups blank.
    unknown = rates.isna().all(axis=1)
    relative = _relative((rates if shape is None else _rates(shape)).where(unknown), rates)
    _draw_rates(axes, plan, rates, "-")
    if unknown.any():
        _draw_rates(axes, plan, relative, "--")
    shade_phases(axes, list(plan["phase"]), list(plan["step"]))
    label_axes(axes, "training step", "relative learning rate" if unknown.all() else "learning rate")
    _scale_rates(axes, rates.combine_first(relative).groupby(plan["phase"]).max().to_numpy())
    _mark_unknown(axes, plan[unknown], "not\nfound yet" if shape is None else "shape only,\nnot found yet")
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


def colours(names: Sequence[str]) -> dict[str, str]:
    """Return the colour of each run, best first; from the seventh on all are grey."""
    return {name: COLOURS[place] if place < len(COLOURS) else _OTHERS for place, name in enumerate(names)}


def runs_figure(curves: Mapping[str, pd.DataFrame], score: str, chosen: Mapping[str, str]) -> Figure:
    """Draw one score of each run over the epochs, the best runs in colour and on top.

    `curves` holds the runs that have the score, best first; each table has a row per epoch: `epoch`, `phase`
    and the score, NaN where it was not measured; `chosen` is the colour of each run. Phases are shaded if
    all runs have the same ones.
    """
    figure, axes = new_figure(4.8, 3.3)
    for name, metrics in reversed(list(curves.items())):
        known = metrics[metrics[score].notna()]
        is_best = chosen[name] != _OTHERS
        # A line through a single point would be invisible.
        mark = "o" if len(known) < 3 else None
        width = 1.6 if is_best else 1.0
        axes.plot(
            known["epoch"], known[score], color=chosen[name], linewidth=width, marker=mark, markersize=4
        )
    _shade_common(axes, list(curves.values()))
    whole_axis(axes.xaxis)
    label_axes(axes, "epoch", score)
    if "/acc" in score:
        percent_axis(axes.yaxis, None)
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
    whole_axis(axes.xaxis)
    label_axes(axes, "epoch", y)
    add_legend(axes)
    return figure


def _rates(plan: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of rates; frozen groups are not drawn."""
    rates = plan.filter(regex="^lr/").astype("float64")
    return rates.where(rates > 0)


def _relative(shape: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Return rates of any height at that of the highest known one, or of 1."""
    top, own = (float(np.nanmax(rates.to_numpy(), initial=0)) for rates in (known, shape))
    scaled: pd.DataFrame = shape * ((top or 1) / (own or 1))
    return scaled


def _draw_rates(axes: Axes, plan: pd.DataFrame, rates: pd.DataFrame, style: str) -> None:
    # A gap between phases, a vertical line at a restart within a phase.
    first = plan["phase"].ne(plan["phase"].shift())
    for colour, (column, values) in zip(_group_colours(rates.shape[1]), rates.items(), strict=True):
        steps, heights = (_broken(series, first) for series in (plan["step"], values))
        label = str(column).removeprefix("lr/") if style == "-" else None
        axes.plot(steps, heights, style, color=colour, linewidth=1.6, label=label)


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
        # They have neither marks nor labels, and to lay them out takes a third of the time of the figure.
        axes.minorticks_off()
        # A cosine ends near zero: up to two decades below the lowest peak show its shape.
        axes.set_ylim(10 ** math.floor(math.log10(known.min()) - 1.5), known.max() * 1.6)
    else:
        axes.set_ylim(bottom=0)
        axes.ticklabel_format(axis="y", style="sci", scilimits=(-3, 3), useMathText=True)
        axes.yaxis.get_offset_text().set(color=GREY, fontsize=9)


def _mark_unknown(axes: Axes, plan: pd.DataFrame, words: str) -> None:
    """Write into each phase of a plan that its rate is not found yet."""
    for _, steps in plan.groupby("phase", sort=False)["step"]:
        axes.text(
            # Near the top of the end: there the shapes have fallen.
            steps.max(),
            0.9,
            f"auto: {words}",
            transform=axes.get_xaxis_transform(),
            ha="right",
            va="top",
            fontsize=9,
            color=GREY,
        )


def _shade_common(axes: Axes, tables: Sequence[pd.DataFrame]) -> None:
    longest = max(tables, key=len)
    phases = list(longest["phase"])
    # A run that is not finished has only the first of them.
    if all(list(each["phase"]) == phases[: len(each)] for each in tables):
        shade_phases(axes, phases, list(longest["epoch"]))
