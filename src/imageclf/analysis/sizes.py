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


MUCH = 1 / 3
"""Share of a picture that a crop had better not cut off."""
# Share of the pictures of which much is cut off, from which on this is worth a warning.
_OFTEN = 0.05


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


def cut_shares(pictures: pd.DataFrame, crop_pct: float) -> NDArray[np.float64]:
    """Return the share of each readable picture, 0 to 1, that lies outside of the centre crop, `[N]`.

    `crop_pct` is the share of the shorter side that the crop keeps.
    """
    sides = measures(pictures)
    longer = np.maximum(sides["width"], sides["height"])
    shares: NDArray[np.float64] = 1 - crop_pct**2 * sides["shorter side"] / longer
    return shares


def crop_warning(pictures: pd.DataFrame, resize: str, crop_pct: float) -> str:
    """Return a sentence where a centre crop cuts much off many pictures, else "".

    Args:
        pictures: a row per file.
        resize: how pictures become squares.
        crop_pct: see `cut_shares`.
    """
    shares = cut_shares(pictures, crop_pct)
    many = shares > MUCH
    if resize in ("squish", "pad") or not many.size or many.mean() < _OFTEN:
        return ""
    return (
        f"data.resize={resize} cuts more than a third off {int(many.sum()):,} of {many.size:,} pictures, and "
        f"{100 * np.median(shares):.0f} % off the median one: data.resize=squish or pad shows them whole."
    )


def num_enlarged(pictures: pd.DataFrame, size: int) -> int:
    """Count the readable pictures whose shorter side is less than `size` pixels."""
    return int((measures(pictures)["shorter side"] < size).sum())
