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

Sides = int | tuple[int, int]
"""The size of pictures in training: pixels a side, or height and width."""

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


def cut_shares(pictures: pd.DataFrame, crop_pct: float, size: Sides = 1) -> NDArray[np.float64]:
    """Return the share of each readable picture, 0 to 1, that lies outside of the centre crop, `[N]`.

    The crop keeps the share `crop_pct` of the side that limits it. Of its size only the shape counts.
    """
    width, height, _ = measures(pictures).values()
    high, wide = np.broadcast_to(size, 2)
    # How much wider than the crop a picture is in shape.
    wider = (width / height) / (wide / high)
    shares: NDArray[np.float64] = 1 - crop_pct**2 * np.minimum(wider, 1 / wider)
    return shares


def fitting_size(pictures: pd.DataFrame, size: Sides) -> tuple[int, int] | None:
    """Return height and width of the usual shape of pictures, with about as many pixels as `size`.

    They are multiples of 32, the stride of most networks. None: pictures differ so much in shape that crops
    of the usual one would still cut off more than half as much as those of `size`.
    """
    width, height, _ = measures(pictures).values()
    aspect = float(np.median(width / height))
    high = (float(np.prod(np.broadcast_to(size, 2))) / aspect) ** 0.5
    found = tuple(max(32, 32 * round(side / 32)) for side in (high, aspect * high))
    is_better = cut_shares(pictures, 1.0, found).mean() <= cut_shares(pictures, 1.0, size).mean() / 2
    return found if is_better else None


def crop_warning(pictures: pd.DataFrame, resize: str, crop_pct: float, size: Sides) -> str:
    """Return a sentence where a centre crop cuts much off many pictures, else ""; see `cut_shares`."""
    shares = cut_shares(pictures, crop_pct, size)
    many = shares > MUCH
    if resize in ("squish", "pad") or not many.size or many.mean() < _OFTEN:
        return ""
    return (
        f"data.resize={resize} cuts more than a third off {int(many.sum()):,} of {many.size:,} pictures, and "
        f"{100 * np.median(shares):.0f} % off the median one: {_shape_advice(pictures, crop_pct, size)}"
        "data.resize=squish or pad shows them whole."
    )


def _shape_advice(pictures: pd.DataFrame, crop_pct: float, size: Sides) -> str:
    found = fitting_size(pictures, size)
    if found is None:
        return ""
    lost = 100 * np.median(cut_shares(pictures, crop_pct, found))
    return f"data.size={found[0]}x{found[1]} (height x width) would cut {lost:.0f} % off it, and "


def enlargements(width: NDArray[np.int64], height: NDArray[np.int64], size: Sides) -> NDArray[np.float64]:
    """Return how many times pictures are enlarged to cover a size, `[N]`; less than 1: they are shrunk."""
    high, wide = np.broadcast_to(size, 2)
    times: NDArray[np.float64] = np.maximum(wide / np.maximum(width, 1), high / np.maximum(height, 1))
    return times


def num_enlarged(pictures: pd.DataFrame, size: Sides) -> int:
    """Count the readable pictures that are narrower or lower than a size."""
    width, height, _ = measures(pictures).values()
    return int((enlargements(width, height, size) > 1).sum())
