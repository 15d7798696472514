"""Objects as a notebook shows them: a piece of HTML without a page around it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imageclf.analysis.predictions_csv import label_indices, probabilities_of
from imageclf.report.galleries import prediction_tile
from imageclf.report.page import render_page
from imageclf.report.plots.curves import accuracy_figure, loss_figure
from imageclf.report.plots.style import png_bytes
from imageclf.report.thumbnails import data_uri, pixels_uri
from imageclf.system.words import counted

SHOWN = 12
"""Pictures of a table of predictions that are shown."""

_TEMPLATE = "notebook.html.j2"


def run_html(title: str, rows: Sequence[tuple[str, str]], metrics: pd.DataFrame) -> str:
    """Return a run's result as a table of names and values, and its curves over the epochs, if it has any."""
    figures = [] if metrics.empty else [loss_figure(metrics)]
    if "val/acc" in metrics and metrics["val/acc"].notna().any():
        figures.append(accuracy_figure(metrics))
    images = [data_uri("png", png_bytes(figure)) for figure in figures]
    return render_page(_TEMPLATE, title=title, rows=rows, images=images).decode("utf-8")


def predictions_html(
    title: str, predictions: pd.DataFrame, classes: Sequence[str], pictures: Sequence[NDArray[np.uint8]] = ()
) -> str:
    """Return the first pictures of a table of predictions, with what was predicted and what is true.

    `pictures` are the first `SHOWN`, `[H, W, 3]`, where they are in memory; else their files are read.
    """
    probabilities, labels = probabilities_of(predictions, classes), label_indices(predictions, classes)
    tiles = [
        prediction_tile(predictions.iloc[row], probabilities[row], int(labels[row]), "")
        for row in range(min(SHOWN, len(predictions)))
    ]
    for place, picture in enumerate(pictures[:SHOWN]):
        name = str(predictions["id"].iat[place])
        tiles[place] = replace(tiles[place], image=pixels_uri(picture), name=f"picture {name}")
    rest = len(predictions) - len(tiles)
    left = counted(rest, "more picture") if rest else ""
    return render_page(_TEMPLATE, title=title, tiles=tiles, left=left).decode("utf-8")
