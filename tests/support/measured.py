"""Pictures with numbers: stamps of the demo of a drawn size and mean hue, on grey, and a CSV of both."""

import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image

STAMPS = Path(__file__).parents[2] / "data" / "stamps"
# What a training on them is told.
REGRESSION = [
    *("task=regression", "data=csv", "data.csv=numbers.csv", "data.images=images", "data.suffix=null"),
    "data.label_column=[size,hue]",
]
# Of hues, in degrees: red, yellow, green and blue, without the step from 360 to 0.
HUES = (0, 240)


def make_measured(root: Path, number: int, seed: int = 0, side: int = 64) -> Path:
    """Write so many pictures and `numbers.csv` (image, size, hue), and return the CSV.

    Args:
        root: receives the CSV and the folder `images`.
        number: of pictures.
        seed: of the draws.
        side: pixels a side of a picture; a stamp has a third of it or more, its `size`.
    """
    generator = np.random.default_rng(seed)
    files = sorted(STAMPS.glob("*/*.*"))
    (root / "images").mkdir(parents=True)
    rows = []
    for index in range(number):
        size, hue = int(generator.integers(side // 3, side + 1)), float(generator.uniform(*HUES))
        with Image.open(files[generator.integers(len(files))]) as stamp:
            tile = with_hue(stamp.convert("RGB").resize((size, size)), hue)
        picture = Image.new("RGB", (side, side), (120, 120, 120))
        picture.paste(tile, tuple(int(generator.integers(side - size + 1)) for _ in "xy"))
        picture.save(root / "images" / f"{index}.png")
        rows.append((f"{index}.png", size, f"{hue:.1f}"))
    with (root / "numbers.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("image", "size", "hue"), *rows])
    return root / "numbers.csv"


def with_hue(picture: Image.Image, hue: float) -> Image.Image:
    """Return a picture whose hues are turned such that their mean, by saturation, is this one in degrees."""
    planes = np.asarray(picture.convert("HSV")).astype(np.float64)
    # A picture without any colour has no hue to turn.
    planes[..., 1] = 60 + 0.6 * planes[..., 1]
    turns = np.exp(2j * np.pi * planes[..., 0] / 256)
    mean = np.angle((turns * planes[..., 1]).sum()) / (2 * np.pi)
    planes[..., 0] = (planes[..., 0] + 256 * (hue / 360 - mean)) % 256
    return Image.fromarray(planes.astype(np.uint8), "HSV").convert("RGB")


if __name__ == "__main__":
    print(make_measured(Path(sys.argv[1]), int(sys.argv[2])))
