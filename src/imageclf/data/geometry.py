"""One affine map per picture: scale, zoom, rotate, crop, turn and mirror in a single resampling."""

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from imageclf.data.augmentation import Views

Resize = Literal["crop", "squish", "pad"]
Picture = NDArray[np.uint8]

# OpenCV's own threads would fight the loader's workers and torch over the cores.
cv2.setNumThreads(0)


def scaled_size(
    width: int, height: int, size: int, resize: Resize, crop_pct: float = 1.0
) -> tuple[float, float]:
    """Return (width, height) in pixels that a picture is scaled to before the crop of `size`.

    Args:
        width: of the picture, pixels.
        height: of the picture, pixels.
        size: pixels a side of the result.
        resize: crop: the shorter side becomes `size / crop_pct`; squish: both sides become `size`;
            pad: the longer side becomes `size`, the rest is reflection.
        crop_pct: share of the shorter side that the crop keeps; crop only.
    """
    if resize == "squish":
        return float(size), float(size)
    side = size / crop_pct / min(width, height) if resize == "crop" else size / max(width, height)
    # Whole pixels keep the plain view free of a half-pixel blur.
    return float(max(1, round(width * side))), float(max(1, round(height * side)))


def shrink(picture: Picture, width: float, height: float) -> Picture:
    """Return the picture antialiased down to about `width` x `height` pixels; it is never enlarged.

    Args:
        picture: `[H, W, 3]`.
        width: pixels to scale to.
        height: pixels to scale to.
    """
    target = min(picture.shape[1], round(width)), min(picture.shape[0], round(height))
    if target == (picture.shape[1], picture.shape[0]):
        return picture
    return np.asarray(cv2.resize(picture, target, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def affine(
    width: int, height: int, scaled: tuple[float, float], size: int, views: Views, index: int
) -> NDArray[np.float64]:
    """Return the map `[2, 3]` from pixels of the result to pixels of the picture.

    Read backwards: the picture is scaled and zoomed, rotated about its centre, cropped to `size`,
    turned and mirrored.

    Args:
        width: of the picture, pixels.
        height: of the picture, pixels.
        scaled: (width, height) it is scaled to, before the zoom.
        size: pixels a side of the result.
        views: of the batch.
        index: which of them.
    """
    zoomed = np.array(scaled) * views.zoom[index]
    position = np.array([views.x[index], views.y[index]])
    offset = (position - 0.5) * (zoomed - size)
    if views.zoom[index] == 1 and views.angle[index] == 0:
        # A whole-pixel offset: a picture that is only cropped is copied, not blurred.
        offset = np.floor(offset + (zoomed - size) / 2 + 0.5) - (zoomed - size) / 2
    linear = _rotation(views.angle[index]) @ _turn(int(views.turns[index]), bool(views.mirror[index]))
    to_picture = np.diag([width / zoomed[0], height / zoomed[1]])
    centre = np.array([width, height]) / 2
    matrix = to_picture @ linear
    shift = to_picture @ _rotation(views.angle[index]) @ offset + centre
    # Pixel centres lie at half coordinates; warpAffine counts them from 0.
    shift = shift - 0.5 - matrix @ np.full(2, (size - 1) / 2)
    return np.column_stack([matrix, shift])


def warp(picture: Picture, matrix: NDArray[np.float64], size: int) -> Picture:
    """Return the picture resampled once, bilinearly, `[size, size, 3]`; what lies outside is reflected."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(picture, matrix, (size, size), flags=flags, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(warped, dtype=np.uint8)


def light(picture: Picture, brightness: float, contrast: float) -> Picture:
    """Return the picture with brightness and contrast changed, clipped to 0..255.

    Args:
        picture: `[H, W, 3]`.
        brightness: added, as a fraction of white.
        contrast: factor on the distance to the picture's mean over all pixels and channels.

    Source: `lighting(im, b, c)` of fastai 0.7.
    """
    if brightness == 0 and contrast == 1:
        return picture
    mean = float(picture.mean())
    table = (np.arange(256) - mean) * contrast + mean + 255 * brightness
    return np.asarray(cv2.LUT(picture, np.clip(np.rint(table), 0, 255).astype(np.uint8)), dtype=np.uint8)


def _rotation(angle: float) -> NDArray[np.float64]:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin], [sin, cos]])


def _turn(turns: int, mirror: bool) -> NDArray[np.float64]:
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])
    flip = np.diag([-1.0 if mirror else 1.0, 1.0])
    return np.linalg.matrix_power(quarter, turns) @ flip
