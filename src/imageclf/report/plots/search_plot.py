"""The plots of a search: its scores trial by trial, and which keys matter."""

from matplotlib.figure import Figure

from imageclf.analysis.run_settings import short_names
from imageclf.analysis.search import SearchRecord
from imageclf.report.plots.style import (
    BLUE,
    GREY,
    ORANGE,
    add_legend,
    label_axes,
    new_figure,
    percent_axis,
    plain,
    whole_axis,
)

# Longest name of a key in the plot.
_LETTERS = 28


def history_figure(search: SearchRecord) -> Figure:
    """Draw the score of each trial in their order, and the best so far as steps."""
    figure, axes = new_figure(4.8, 3.3)
    for state, colour, mark, label in (
        ("complete", BLUE, "o", "finished"),
        ("pruned", GREY, "x", "pruned, its last score"),
    ):
        found = [
            (number, score)
            for number, (its, score) in enumerate(zip(search.states, search.scores, strict=True))
            if its == state and score is not None
        ]
        if found:
            axes.plot(*zip(*found, strict=True), mark, color=colour, markersize=5, label=label)
    if search.best:
        axes.step(*zip(*search.best, strict=True), where="post", color=ORANGE, label="best so far")
    whole_axis(axes.xaxis)
    label_axes(axes, "trial", plain(search.metric, _LETTERS))
    if "/acc" in search.metric:
        percent_axis(axes.yaxis, None)
    add_legend(axes)
    return figure


def importance_figure(search: SearchRecord) -> Figure:
    """Draw how much of what makes a trial good each key explains, the most important one on top."""
    titles = short_names(list(search.importances))
    names = [plain(titles[key], _LETTERS) for key in search.importances]
    figure, axes = new_figure(4.8, max(1.6, 0.9 + 0.32 * len(names)))
    places = range(len(names))
    axes.barh(places, list(search.importances.values()), color=BLUE, height=0.6)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    percent_axis(axes.xaxis)
    label_axes(axes, "share of the importance", "")
    return figure
