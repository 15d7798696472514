"""What the network was shown in training, and where it looked: pixels, made while the model is at hand."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image

from imageclf.analysis.extremes import Answer
from imageclf.data.pictures.arrays import shown
from imageclf.report.thumbnails import pixels_uri


@dataclass(frozen=True)
class TrainingViews:
    """Some pictures of a training batch, `[B, H, W, C]`, and what each shows, in words."""

    pictures: NDArray[Any]
    labels: Sequence[str]
    is_augmented: bool


@dataclass(frozen=True)
class ReportedHeatmaps:
    """Where the network looked on some validation pictures: N answers of predictions/valid.csv.

    `pictures` are as the network saw them, `[N, H, W, C]`; `maps` say how much each place counted for the
    class of the answer, `[N, h, w]`, 0 to 1. `is_member` says whether the network is one of several that
    predict together.
    """

    answers: Sequence[Answer]
    pictures: NDArray[Any]
    maps: NDArray[np.float32]
    is_member: bool


@dataclass(frozen=True)
class HeatmapTile:
    """A picture, and the same with the places that counted, as `data:` URIs; `right` is of the prediction."""

    image: str
    overlay: str
    name: str
    prediction: str
    right: bool


def heatmap_tiles(heatmaps: ReportedHeatmaps, predictions: pd.DataFrame) -> list[HeatmapTile]:
    """Return where the network looked, ready to show; `predictions` is the table of predictions/valid.csv."""
    return [
        HeatmapTile(
            image=pixels_uri(pixels),
            overlay=pixels_uri(overlay(pixels, weights)),
            name=Path(predictions["path"].iloc[answer.row]).name,
            prediction=answer.prediction,
            right=answer.is_right,
        )
        for answer, pixels, weights in zip(heatmaps.answers, heatmaps.pictures, heatmaps.maps, strict=True)
    ]


def overlay(pixels: NDArray[Any], weights: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a picture `[H, W, C]` in grey, under the colours of its weights `[h, w]`, 0 to 1."""
    height, width, _ = pixels.shape
    smooth = Image.fromarray(weights).resize((width, height), Image.Resampling.BILINEAR)
    colours = colormaps["inferno"](np.asarray(smooth))[..., :3] * 255
    grey = shown(pixels).mean(axis=2, keepdims=True)
    blended: NDArray[np.uint8] = np.rint(0.5 * grey + 0.5 * colours).astype(np.uint8)
    return blended
