"""How large the pictures of a data set are.

`pictures` has a row per file: `id, path, label, split, width, height, bytes, format, mode, frames, fault`; a
picture with a fault cannot be read and is left out.

Source: lesson 2 of fast.ai: `plt.hist(row_sz)`, then `plt.hist(row_sz[row_sz < 1000])`.
"""

from collections import Counter
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

LIMIT = 1000
"""Pixels: if some sides are longer, the shorter ones get a second histogram of their own."""


class SizeRow(NamedTuple):
    """Smallest, median and largest of one measure, in pixels."""

    name: str
    smallest: int
    median: float
    largest: int


def measures(pictures: pd.DataFrame) -> dict[str, NDArray[np.int64]]:
    """Return width, height and shorter side of the readable pictures, `[N]` each, in pixels."""
    readable = pictures[pictures["fault"] == ""]
    width, height = (readable[name].to_numpy(dtype=np.int64) for name in ("width", "height"))
    return {"width": width, "height": height, "shorter side": np.minimum(width, height)}


def size_rows(pictures: pd.DataFrame) -> list[SizeRow]:
    """Return a row per measure; none if no picture can be read."""
    return [
        SizeRow(name, int(sides.min()), float(np.median(sides)), int(sides.max()))
        for name, sides in measures(pictures).items()
        if sides.size
    ]


def kind_rows(pictures: pd.DataFrame) -> list[tuple[str, str, int]]:
    """Return (format, mode, count) of the readable pictures, the most frequent first."""
    readable = pictures[pictures["fault"] == ""]
    counts = Counter(zip(readable["format"], readable["mode"], strict=True))
    return [(form, mode, count) for (form, mode), count in counts.most_common()]


def num_enlarged(pictures: pd.DataFrame, size: int) -> int:
    """Count the readable pictures whose shorter side is less than `size` pixels."""
    return int((measures(pictures)["shorter side"] < size).sum())
