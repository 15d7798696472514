"""The slow way to a view: one resampling of the whole original picture in floats, many samples a pixel.

It shares no code with the data path; of it, it takes the drawn numbers alone.
"""

import math
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from imageclf.data.views.augmentation import Views

Floats = NDArray[np.float64]


@lru_cache(maxsize=300)
def original(path: str) -> NDArray[np.uint8]:
    """Return all pixels of a file, upright."""
    with Image.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))


def one_view(views: Views, index: int) -> dict[str, Any]:
    """Return the numbers of one view of a batch."""
    return {name: part[index] for name, part in views._asdict().items()}


def window_of(
    width: int, height: int, size: tuple[int, int], resize: str, view: dict[str, Any], crop_pct: float
) -> Floats:
    """Return (width, height) in pixels of what a view of a (width, height) shows of a picture."""
    across, down = width / size[0], height / size[1]
    if resize == "random_resized_crop":
        window = _first_that_fits(width, height, view["crops"], size[0] / size[1])[0]
    elif resize == "squish":
        window = np.array([width, height], dtype=np.float64)
    else:
        scale = max(across, down) if resize == "pad" else crop_pct * min(across, down)
        window = scale * np.array(size, dtype=np.float64)
    return window / view["zoom"]


def look_up(
    x: Floats,
    y: Floats,
    width: int,
    height: int,
    size: tuple[int, int],
    resize: str,
    window: Floats,
    view: dict[str, Any],
) -> tuple[Floats, Floats]:
    """Return where points of a view, 0 to its (width, height), lie in its picture, 0 to its own."""
    wide, high = size
    x, y = x - wide / 2, y - high / 2
    if view["mirror"]:
        x = -x
    # What is not square is turned upside down or not at all.
    for _ in range(view["turns"] if wide == high else view["turns"] // 2 * 2):
        x, y = -y, x
    # Of pixels of the view, whose sides may differ: a rotation there, a change of perspective by halves.
    x, y = _rotated(x, y, view["angle"])
    x, y = _in_perspective(x / (wide / 2), y / (high / 2), view["warp_x"], view["warp_y"])
    placed = view
    if resize == "random_resized_crop" and not _first_that_fits(width, height, view["crops"], wide / high)[1]:
        placed = {"x": 0.5, "y": 0.5}
    # The picture, as large as the view sees it, less the view: where a crop may be put.
    room = np.array([width, height]) * size / window - size
    left, top = _rotated((placed["x"] - 0.5) * room[0], (placed["y"] - 0.5) * room[1], view["angle"])
    x = width / 2 + left * window[0] / wide + x * window[0] / 2
    y = height / 2 + top * window[1] / high + y * window[1] / 2
    return x, y


def render(
    picture: NDArray[np.uint8],
    size: int | tuple[int, int],
    resize: str,
    view: dict[str, Any],
    lighting: str,
    crop_pct: float = 1.0,
) -> Floats:
    """Return a view [H, W, 3] of a picture, 0 to 255; of a size other than a square, (height, width)."""
    height, width = picture.shape[:2]
    high, wide = size if isinstance(size, tuple) else (size, size)
    window = window_of(width, height, (wide, high), resize, view, crop_pct)
    finer = max(2, math.ceil(2 * (window / [wide, high]).max()))
    columns, lines = ((np.arange(side * finer) + 0.5) / finer for side in (wide, high))
    x, y = look_up(*np.meshgrid(columns, lines), width, height, (wide, high), resize, window, view)
    # OpenCV counts from the centre of the first pixel.
    x, y = (_reflected(x, width) - 0.5).astype(np.float32), (_reflected(y, height) - 0.5).astype(np.float32)
    source = picture.astype(np.float32)
    samples = cv2.remap(source, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    # The samples of a pixel are whole ones, so this is their mean.
    pixels = cv2.resize(samples, (wide, high), interpolation=cv2.INTER_AREA).clip(0, 255)
    return _lit(pixels, picture.mean(), view["brightness"], view["contrast"], lighting)


def _first_that_fits(width: int, height: int, crops: Floats, shape: float) -> tuple[Floats, bool]:
    """Return the window of the first try that lies inside, else torchvision's of the largest ratio.

    Ratios are relative to `shape`, the width of the view to its height.
    """
    for share, ratio in zip(crops[:-1, 0], shape * crops[:-1, 1], strict=True):
        window = np.sqrt(share * width * height) * np.array([math.sqrt(ratio), 1 / math.sqrt(ratio)])
        if window[0] <= width and window[1] <= height:
            return window, True
    largest = crops[-1, 1]
    return np.array([min(width, largest * shape * height), min(height, largest / shape * width)]), False


def _reflected(places: Floats, side: int) -> Floats:
    """Fold what lies outside a picture back into it, however far away; OpenCV's remap folds but once."""
    if places.min() >= 0 and places.max() <= side:
        return places
    return side - np.abs(places % (2 * side) - side)


def _rotated(x: Any, y: Any, angle: float) -> tuple[Any, Any]:
    return math.cos(angle) * x - math.sin(angle) * y, math.sin(angle) * x + math.cos(angle) * y


def _in_perspective(x: Floats, y: Floats, warp_x: float, warp_y: float) -> tuple[Floats, Floats]:
    """Look up points of the square from -1 to 1 by fastai 2's four pairs of points."""
    if warp_x == warp_y == 0:
        return x, y
    corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], dtype=np.float32)
    signs = np.array([[-1, -1], [1, 1], [1, 1], [-1, -1]])
    seen_at = corners + signs * [warp_y, warp_x]
    (a, b, c), (d, e, f), (g, h, _) = cv2.getPerspectiveTransform(seen_at.astype(np.float32), corners)
    scale = g * x + h * y + 1
    return (a * x + b * y + c) / scale, (d * x + e * y + f) / scale


def _lit(pixels: Floats, mean: float, brightness: float, contrast: float, lighting: str) -> Floats:
    if lighting == "linear":
        return ((pixels - mean) * contrast + mean + 255 * brightness).clip(0, 255)
    shares = (pixels / 255).clip(1e-7, 1 - 1e-7)
    return 255 / (1 + np.exp(-(np.log(shares / (1 - shares)) + brightness) * contrast))
