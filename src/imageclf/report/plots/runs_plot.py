"""The curves of many runs in one plot."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imageclf.report.plots.style import EDGE, PALETTE, label_epochs, new_figure, percent_axis, shade_phases

# The best runs get a colour each; more colours could not be told apart.
COLOURS = tuple(PALETTE[name] for name in ("blue", "orange", "green", "purple", "pink", "olive"))
_OTHERS = EDGE


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
    label_epochs(axes, score)
    if "/acc" in score:
        percent_axis(axes.yaxis, None)
    return figure


def _shade_common(axes: Axes, tables: Sequence[pd.DataFrame]) -> None:
    longest = max(tables, key=len)
    phases = list(longest["phase"])
    # A run that is not finished has only the first of them.
    if all(list(each["phase"]) == phases[: len(each)] for each in tables):
        shade_phases(axes, phases, list(longest["epoch"]))
