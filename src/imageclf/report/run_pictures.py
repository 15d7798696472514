"""The pictures of a report: tiles with truth, prediction and probability."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imageclf.analysis.extremes import most_right, most_uncertain, most_wrong
from imageclf.report.thumbnails import thumbnail_uri


@dataclass(frozen=True)
class Tile:
    """One picture: `image` is a `data:` address, None if the file cannot be read; `right` None if unknown."""

    image: str | None
    name: str
    path: str
    truth: str
    prediction: str
    probability: float
    right: bool | None


@dataclass(frozen=True)
class Gallery:
    """A row of tiles under a heading."""

    title: str
    hint: str
    empty: str
    tiles: list[Tile]


def galleries(
    predictions: pd.DataFrame,
    probabilities: NDArray[np.float64],
    labels: NDArray[np.int64],
    root: Path,
    k: int = 12,
) -> list[Gallery]:
    """Return the most wrong, most uncertain and most right pictures, up to `k` each.

    `probabilities` is `[N, C]`, `labels` is `[N]` with -1 where unknown; relative paths start at `root`.
    Without any label only the uncertain ones are returned.
    """
    folder = common_folder(list(predictions["path"]))

    def tiles(rows: NDArray[np.intp]) -> list[Tile]:
        """Return the tiles of some rows."""
        return [_tile(predictions.iloc[row], float(probabilities[row].max()), root, folder) for row in rows]

    hints = (
        "sure of the wrong class",
        "the top probability is closest to a guess",
        "sure of the right class",
    )
    uncertain = Gallery("Most uncertain", hints[1], "No pictures.", tiles(most_uncertain(probabilities, k=k)))
    if not (labels >= 0).any():
        return [uncertain]
    wrong, right = (tiles(most(probabilities, labels, k)) for most in (most_wrong, most_right))
    return [
        Gallery("Most wrong", hints[0], "Not one picture was taken for another class.", wrong),
        uncertain,
        Gallery("Most right", hints[2], "Not one picture was recognised.", right),
    ]


def common_folder(paths: list[str]) -> str:
    """Return the folder that all paths start with, with its slash; empty if there is none.

    >>> common_folder(["/data/cats/1.jpg", "/data/dogs/2.jpg"])
    '/data/'
    """
    # Of the parents, not the paths: one picture alone has its folder in common with itself.
    parents = {str(Path(path).parent) for path in paths}
    # A mixture of absolute and relative paths has no common folder.
    if len({parent.startswith("/") for parent in parents}) != 1:
        return ""
    folder = os.path.commonpath(parents)
    return "" if folder in ("", ".", "/") else f"{folder}/"


def _tile(row: pd.Series, probability: float, root: Path, folder: str) -> Tile:
    path, truth, prediction = str(row["path"]), str(row["label"]), str(row["prediction"])
    return Tile(
        # An absolute path wins over the root in pathlib.
        image=thumbnail_uri(root / path),
        name=Path(path).name,
        path=path.removeprefix(folder),
        truth=truth,
        prediction=prediction,
        probability=probability,
        right=truth == prediction if truth else None,
    )
