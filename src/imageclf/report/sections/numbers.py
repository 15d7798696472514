"""Numbers in a run's report: how near they are to the truth, and the pictures with the largest errors."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup
from numpy.typing import NDArray

from imageclf.analysis.predictions_csv import probabilities_of, true_numbers
from imageclf.analysis.scores import explained_variance
from imageclf.report.galleries import TILE_SIDE
from imageclf.report.page import fluid_plot
from imageclf.report.plots.numbers_plot import numbers_figure
from imageclf.report.run_files import RunFiles
from imageclf.report.thumbnails import Picture, picture_at

_NUM_TILES = 12


@dataclass(frozen=True)
class NumberRow:
    """One column: its scores on the validation pictures, in its own unit; NaN where all numbers are equal."""

    name: str
    mae: float
    rmse: float
    r2: float
    spearman: float
    plot: Markup


@dataclass(frozen=True)
class NumberTile:
    """A picture, and of each column name, prediction and truth."""

    picture: Picture
    rows: list[tuple[str, float, float]]


@dataclass(frozen=True)
class Numbers:
    """What a run predicts of the labelled validation pictures, and those with the largest errors."""

    pictures: int
    rows: list[NumberRow]
    tiles: list[NumberTile]


def numbers_of(run: RunFiles, folder: str) -> Numbers | None:
    """Return the numbers of a run's validation pictures, None if it predicts none; see `picture_at`."""
    labelled = run.labelled
    if not run.has_numbers or labelled.empty:
        return None
    predicted = probabilities_of(labelled, run.classes)
    truth = true_numbers(labelled)
    # In units of their spread, columns can be compared.
    spread = np.where(truth.std(axis=0) > 0, truth.std(axis=0), 1.0)
    worst = np.argsort(-np.abs((predicted - truth) / spread).max(axis=1), kind="stable")[:_NUM_TILES]
    return Numbers(
        pictures=len(labelled),
        rows=[number_row(name, truth[:, at], predicted[:, at]) for at, name in enumerate(run.classes)],
        tiles=[
            NumberTile(
                picture_at(str(labelled["path"].iloc[row]), folder, TILE_SIDE),
                list(zip(run.classes, predicted[row], truth[row], strict=True)),
            )
            for row in worst
        ],
    )


def number_row(name: str, truth: NDArray[np.float64], predicted: NDArray[np.float64]) -> NumberRow:
    """Return the scores of a column, from true and predicted numbers `[N]`."""
    errors = predicted - truth
    words = f"Predictions of {name} over the truth, and what they are off by"
    return NumberRow(
        name=name,
        mae=float(np.abs(errors).mean()),
        rmse=float(np.sqrt((errors**2).mean())),
        r2=float(explained_variance(predicted, truth)),
        spearman=float(pd.Series(truth).rank().corr(pd.Series(predicted).rank())),
        plot=fluid_plot(lambda width: numbers_figure(truth, predicted, width), words),
    )
