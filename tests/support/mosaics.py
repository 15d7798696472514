"""Pictures with several labels: mosaics of the demo's stamps, two by two, some of whose places are empty."""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

STAMPS = Path(__file__).parents[2] / "data" / "stamps"
# What a training on them is told.
MULTILABEL = ["task=multilabel", "data=csv", "data.images=images", "data.suffix=null"]


def make_mosaics(
    root: Path,
    number: int,
    seed: int = 0,
    side: int = 48,
    separator: str = " ",
    stamps: Sequence[Path] | None = None,
) -> Path:
    """Write so many mosaics and `labels.csv`, and return the CSV; every seventh mosaic is empty.

    Args:
        root: receives the CSV and the folder `images`.
        number: of mosaics.
        seed: of the draws.
        side: pixels a side of a place; a mosaic has twice as many.
        separator: between the labels in a cell.
        stamps: that are drawn from; None: all of them.
    """
    generator = np.random.default_rng(seed)
    files = sorted(STAMPS.glob("*/*.*")) if stamps is None else list(stamps)
    (root / "images").mkdir(parents=True)
    rows = []
    for index in range(number):
        shown = generator.choice(len(files), size=0 if index % 7 == 6 else int(generator.integers(1, 5)))
        mosaic = Image.new("RGB", (2 * side, 2 * side), (120, 120, 120))
        for place, each in zip(generator.permutation(4), shown, strict=False):
            with Image.open(files[each]) as stamp:
                tile = stamp.convert("RGB").resize((side, side))
            mosaic.paste(tile, (int(place % 2) * side, int(place // 2) * side))
        mosaic.save(root / "images" / f"{index}.png")
        rows.append((f"{index}.png", separator.join(sorted({files[each].parent.name for each in shown}))))
    with (root / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image", "tags"), *rows])
    return root / "labels.csv"


if __name__ == "__main__":
    print(make_mosaics(Path(sys.argv[1]), int(sys.argv[2])))
