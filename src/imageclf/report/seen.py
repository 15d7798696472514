"""What the network was shown in training, and where it looked: pixels, made while the model is at hand."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imageclf.report.thumbnails import pixels_uri


@dataclass(frozen=True)
class Seen:
    """Pictures as the network saw them.

    Args:
        batch: some of a training batch, `[B, H, W, 3]`.
        labels: their classes, `[B]`.
    """

    batch: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class SeenTile:
    """A picture of the training batch as a `data:` URI, and its class."""

    image: str
    label: str


def seen_tiles(seen: Seen, classes: Sequence[str]) -> list[SeenTile]:
    """Return the pictures of the training batch, ready to show."""
    return [
        SeenTile(pixels_uri(pixels), classes[label])
        for pixels, label in zip(seen.batch, seen.labels.tolist(), strict=True)
    ]
