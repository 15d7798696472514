"""What a training came to, as pictures for a logger: right and wrong by class, and the worst mistakes."""

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from imageclf.analysis.confusion import confusion_matrix
from imageclf.analysis.extremes import Answer
from imageclf.analysis.predictions_csv import label_indices, probabilities_of, true_numbers
from imageclf.report.plots.balance_plot import stacked_figure
from imageclf.report.plots.confusion_plot import confusion_figure
from imageclf.report.plots.numbers_plot import numbers_figure
from imageclf.report.plots.style import BLUE, GREY, INK, ORANGE, plain, png_bytes
from imageclf.report.thumbnails import thumbnail
from imageclf.tasks import Task
from imageclf.tasks.label_answers import found, invented, marks, missed

_NUM_WRONG, _COLUMNS, _NUM_COLUMNS = 12, 4, 12
_COLOURS = {"found": BLUE, "missed": ORANGE, "invented": GREY}
_WIDTH = 10.8  # inches
_TILE = 2.4  # inches
_SIDE = 320  # pixels


def outcome_pictures(predictions: pd.DataFrame, classes: Sequence[str], task: Task) -> dict[str, Image.Image]:
    """Return pictures of the predictions by their names; what would show nothing is left out.

    `confusion_matrix` of one class per picture, `labels` of several, `numbers` of a number or `numbers_1` and
    so on of several, and `most_wrong`.
    """
    if not task.kind.has_accuracy:
        figures = number_figures(predictions, classes)
    else:
        figures = (confusion_figures if task.is_exclusive else label_figures)(predictions, classes)
    if wrong := task.most_wrong(predictions, classes, _NUM_WRONG):
        paths = [Path(predictions["path"].iloc[each.row]) for each in wrong]
        figures["most_wrong"] = wrong_figure(wrong, paths)
    return {
        name: Image.open(io.BytesIO(png_bytes(figure)), formats=["PNG"]) for name, figure in figures.items()
    }


def confusion_figures(predictions: pd.DataFrame, classes: Sequence[str]) -> dict[str, Figure]:
    """Return the confusion matrix of the labelled pictures, if there are any."""
    labelled = predictions[predictions["label"] != ""]
    if labelled.empty:
        return {}
    probabilities, labels = probabilities_of(labelled, classes), label_indices(labelled, classes)
    matrix = confusion_matrix(labels, probabilities.argmax(axis=1), len(classes))
    return {"confusion_matrix": confusion_figure(matrix, classes)}


def label_figures(predictions: pd.DataFrame, classes: Sequence[str]) -> dict[str, Figure]:
    """Return bars of each label: pictures on which it was found, missed and invented, and its F1."""
    truth, taken = (marks(predictions[name].tolist(), classes) for name in ("label", "prediction"))
    columns = {
        name: kind(truth, taken).sum(axis=0)
        for name, kind in (("found", found), ("missed", missed), ("invented", invented))
    }
    rows = pd.DataFrame({"label": list(classes), **columns})
    double = 2 * rows["found"]
    f1 = double / (double + rows["missed"] + rows["invented"]).clip(lower=1)
    return {"labels": stacked_figure(rows.assign(end=[f"F1 {each:.2f}" for each in f1]), _COLOURS)}


def number_figures(predictions: pd.DataFrame, classes: Sequence[str]) -> dict[str, Figure]:
    """Return the predictions of each number over the truth, under its name; of a dozen numbers at most."""
    truth, predicted = true_numbers(predictions), probabilities_of(predictions, classes)
    figures = {}
    for place, name in enumerate(classes[:_NUM_COLUMNS]):
        figure = numbers_figure(truth[:, place], predicted[:, place], _WIDTH)
        figure.suptitle(plain(name, 60), fontsize=9, color=INK, parse_math=False)
        figures["numbers" if len(classes) == 1 else f"numbers_{place + 1}"] = figure
    return figures


def wrong_figure(answers: Sequence[Answer], paths: Sequence[Path]) -> Figure:
    """Draw wrong answers, at least one, as pictures under their truth and what they were called."""
    height = math.ceil(len(answers) / _COLUMNS)
    size = (_TILE * _COLUMNS, (_TILE + 0.4) * height)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    for place, (each, path) in enumerate(zip(answers, paths, strict=True)):
        axes = figure.add_subplot(height, _COLUMNS, place + 1)
        _show(axes, path)
        words = f"{plain(each.truth, 28)}\ncalled {plain(each.prediction, 20)}, {each.probability:.0%}"
        # parse_math: a dollar sign in a name is no formula.
        axes.set_title(words, fontsize=9, color=INK, loc="left", parse_math=False)
    return figure


def _show(axes: Axes, path: Path) -> None:
    """Show a picture; a grey square if its file cannot be read."""
    small = thumbnail(path, _SIDE)
    axes.imshow(np.full((1, 1, 3), 225, np.uint8) if small is None else np.asarray(small))
    axes.set_axis_off()
    axes.set_anchor("NW")
