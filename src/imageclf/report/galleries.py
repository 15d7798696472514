"""Pictures as tiles: predictions of a run, with truth and probability, and problems of a data set."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imageclf.analysis.extremes import Answer, most_right, most_uncertain, most_wrong
from imageclf.analysis.problems import KINDS, Problem
from imageclf.analysis.scores import log_loss
from imageclf.report.thumbnails import Picture, picture_at
from imageclf.tasks.label_answers import invented, label_answers, missed

_PROBLEM_SIDE = 176  # pixels: twice what a tile shows on a narrow screen
TILE_SIDE = 400  # pixels: enough to look closely when enlarged
# Hint, and what an empty gallery says.
_GALLERIES = {
    "Most wrong": ("most sure of a wrong class", "No picture was misclassified."),
    "Most uncertain": ("least sure of any class", "No pictures."),
    "Most right": ("most sure of the true class", "No picture was classified correctly."),
}

_LABEL_GALLERIES = {
    "Missed labels": (
        "there, but not predicted; of each label the least likely first",
        "No label was missed.",
    ),
    "Invented labels": (
        "predicted, but not there; of each label the likeliest first",
        "No label was invented.",
    ),
}


@dataclass(frozen=True)
class Tile:
    """One prediction, with a `Picture` and its probability.

    `of_truth` is the probability of the true class, and `loss` minus its logarithm. Without a label they are
    NaN, and `right` is None.
    """

    image: str | None
    name: str
    path: str
    truth: str
    prediction: str
    probability: float
    of_truth: float
    loss: float
    right: bool | None


@dataclass(frozen=True)
class Gallery:
    """A row of tiles under a heading."""

    title: str
    hint: str
    empty: str
    tiles: list[Tile]


@dataclass(frozen=True)
class ProblemTile:
    """One problem: its picture, followed by the picture that it repeats, if any."""

    pictures: list[Picture]
    detail: str


@dataclass(frozen=True)
class ProblemGallery:
    """All problems of a kind: their number, and the first of them as tiles."""

    kind: str
    title: str
    meaning: str
    count: int
    tiles: list[ProblemTile]


def prediction_galleries(
    predictions: pd.DataFrame,
    probabilities: NDArray[np.float64],
    labels: NDArray[np.int64],
    k: int = 12,
) -> list[Gallery]:
    """Return up to `k` of the most wrong pictures, and half as many of the most uncertain and most right.

    `probabilities` is `[N, C]`, `labels` is `[N]` with -1 where unknown. Without any label only the
    uncertain ones are returned.
    """
    rows = {"Most uncertain": most_uncertain(probabilities, k // 2)}
    if (labels >= 0).any():
        wrong, right = most_wrong(probabilities, labels, k), most_right(probabilities, labels, k // 2)
        rows = {"Most wrong": wrong, **rows, "Most right": right}
    folder = common_folder(list(predictions["path"]))
    return [
        Gallery(
            title,
            *_GALLERIES[title],
            [
                prediction_tile(predictions.iloc[row], probabilities[row], int(labels[row]), folder)
                for row in chosen
            ],
        )
        for title, chosen in rows.items()
    ]


def label_galleries(predictions: pd.DataFrame, classes: Sequence[str], most: int = 24) -> list[Gallery]:
    """Return the labels that were missed and those that were invented, by class, the worst of each first.

    Where there are more than `most`, each class gives one in turn.
    """
    folder = common_folder(list(predictions["path"]))
    galleries = []
    for title, kind in (("Missed labels", missed), ("Invented labels", invented)):
        chosen = sorted(label_answers(predictions, classes, kind, most), key=lambda answer: answer.place)
        paths = (str(predictions["path"].iloc[answer.row]) for answer in chosen)
        tiles = [_label_tile(*pair, folder) for pair in zip(chosen, paths, strict=True)]
        galleries.append(Gallery(title, *_LABEL_GALLERIES[title], tiles))
    return galleries


def _label_tile(answer: Answer, path: str, folder: str) -> Tile:
    of_truth = 1 - answer.probability
    return Tile(
        *picture_at(path, folder, TILE_SIDE),
        truth=answer.truth,
        prediction=answer.prediction,
        probability=answer.probability,
        of_truth=of_truth,
        loss=-math.log(max(of_truth, 1e-15)),
        right=answer.is_right,
    )


def prediction_tile(row: pd.Series, probabilities: NDArray[np.float64], label: int, folder: str) -> Tile:
    """Return a row of the table of predictions as a tile; see `picture_at`.

    `probabilities` are those of its classes, `[C]`, and `label` is the number of the true one, -1 if unknown.
    """
    truth, prediction = str(row["label"]), str(row["prediction"])
    return Tile(
        *picture_at(str(row["path"]), folder, TILE_SIDE),
        truth=truth,
        prediction=prediction,
        probability=float(probabilities.max()),
        of_truth=float(probabilities[label]) if truth else math.nan,
        loss=log_loss(probabilities[None], np.array([label])) if truth else math.nan,
        right=truth == prediction if truth else None,
    )


def problem_galleries(
    problems: Sequence[Problem], paths: Sequence[str], limit: int = 24
) -> list[ProblemGallery]:
    """Return a gallery per kind of problem that occurs, with up to `limit` tiles.

    `paths` are those of all pictures, which the problems number.
    """
    folder = common_folder(list(paths))
    galleries = []
    for kind in KINDS:
        if chosen := [problem for problem in problems if problem.kind == kind]:
            tiles = [_problem_tile(problem, paths, folder) for problem in chosen[:limit]]
            galleries.append(ProblemGallery(kind, *KINDS[kind], len(chosen), tiles))
    return galleries


def common_folder(paths: list[str]) -> str:
    """Return the folder that all paths start with, with its slash; "" if there is none.

    >>> common_folder(["/data/cats/1.jpg", "/data/dogs/2.jpg"])
    '/data/'
    """
    # Of the parents, not the paths: the common path of one picture alone would be the picture.
    parents = {str(Path(path).parent) for path in paths}
    # A mixture of absolute and relative paths has no common folder.
    if len({parent.startswith("/") for parent in parents}) != 1:
        return ""
    folder = os.path.commonpath(parents)
    return "" if folder in ("", ".", "/") else f"{folder}/"


def _problem_tile(problem: Problem, paths: Sequence[str], folder: str) -> ProblemTile:
    rows = [problem.row] if problem.other < 0 else [problem.row, problem.other]
    pictures = [picture_at(paths[row], folder, _PROBLEM_SIDE) for row in rows]
    return ProblemTile(pictures, problem.detail)
