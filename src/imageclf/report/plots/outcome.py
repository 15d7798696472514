"""What a training came to, as pictures for a logger: the confusion matrix and the most wrong predictions."""

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
from imageclf.analysis.predictions_csv import label_indices, probabilities_of
from imageclf.report.plots.confusion_plot import confusion_figure
from imageclf.report.plots.style import INK, plain, png_bytes
from imageclf.report.thumbnails import thumbnail
from imageclf.tasks import Task

_NUM_WRONG, _COLUMNS = 12, 4
_TILE = 2.4  # inches
_SIDE = 320  # pixels


def outcome_pictures(
    predictions: pd.DataFrame, classes: Sequence[str], task: Task, root: Path
) -> dict[str, Image.Image]:
    """Return `confusion_matrix`, if the task has one, and `most_wrong`; what would show nothing is left out.

    Args:
        predictions: of the validation pictures, as `read_predictions` returns them.
        classes: in class order.
        task: what a label is.
        root: where a relative path starts.
    """
    figures = {}
    labelled = predictions[predictions["label"] != ""]
    if task.is_exclusive and len(labelled):
        probabilities, labels = probabilities_of(labelled, classes), label_indices(labelled, classes)
        matrix = confusion_matrix(labels, probabilities.argmax(axis=1), len(classes))
        figures["confusion_matrix"] = confusion_figure(matrix, classes)
    if wrong := task.most_wrong(predictions, classes, _NUM_WRONG):
        paths = [root / predictions["path"].iloc[each.row] for each in wrong]
        figures["most_wrong"] = wrong_figure(wrong, paths)
    return {
        name: Image.open(io.BytesIO(png_bytes(figure)), formats=["PNG"]) for name, figure in figures.items()
    }


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
