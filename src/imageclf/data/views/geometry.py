"""Geometry of views: scale, zoom, rotation, perspective, crop, turn and mirror as one map per picture."""

from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from imageclf.data.views.augmentation import Floats, Picture, Views
from imageclf.schedule.size import PictureSize, edges, of_edges

Resize = Literal["crop", "squish", "pad", "random_resized_crop"]

# Of pictures with other numbers of channels OpenCV rounds places to 1/32 of a pixel:
# https://github.com/opencv/opencv/issues/26361.
_EXACT = (1, 3, 4)
# OpenCV's own threads would fight the loader's workers and torch over the cores.
cv2.setNumThreads(0)


def stored_side(
    size: PictureSize, resize: Resize, max_zoom: float = 1.0, crop_pct: float = 1.0
) -> PictureSize:
    """Return the size that a picture is shrunk to, see `stored_size`, before any of its views is made.

    A view is one bilinear resampling of the shrunk picture: a quarter more pixels than it shows keep
    rotations sharp, and up to twice as many cause no aliasing. `crop_pct` is that of the plain view.
    """
    detail = 2.0 if resize == "random_resized_crop" else max(1.25, max_zoom, 1 / crop_pct)
    return of_edges(max(round(detail * edge), edge + 32) for edge in edges(size))


def stored_size(width: int, height: int, side: PictureSize, resize: Resize) -> tuple[int, int]:
    """Return (width, height) of a picture after shrinking; it is never enlarged.

    It covers `side`, both of whose edges it would reach with squish; with pad it lies within.
    """
    high, wide = edges(side)
    if resize == "squish":
        return min(width, wide), min(height, high)
    share = min(1.0, (min if resize == "pad" else max)(wide / width, high / height))
    return max(1, round(width * share)), max(1, round(height * share))


def shrink(picture: Picture, width: int, height: int) -> Picture:
    """Return the picture resampled to a smaller size, bicubic and antialiased, `[height, width, C]`."""
    if (height, width) == picture.shape[:2]:
        return picture
    # Four times as fast as OpenCV and Pillow if the strides are channels-last, hence the view.
    pixels = torch.from_numpy(picture if picture.flags.writeable else picture.copy())
    channels_first = pixels.view(1, *picture.shape).permute(0, 3, 1, 2)
    if picture.dtype != np.uint8:
        # Torch resamples no uint16, of which it has little more than the name:
        # https://github.com/pytorch/pytorch/issues/58734.
        channels_first = channels_first.float()
    smaller = interpolate(channels_first, (height, width), mode="bicubic", antialias=True)
    if picture.dtype != np.uint8:
        smaller = smaller.round_().clamp_(0, np.iinfo(picture.dtype).max).to(torch.uint16)
    return np.ascontiguousarray(smaller[0].permute(1, 2, 0).numpy())


def scaled_sizes(shapes: Floats, size: PictureSize, resize: Resize, crop_pct: Floats) -> Floats:
    """Return the (width, height) that pictures are scaled to before the crop of `size`, pixels, `[B, 2]`.

    Args:
        shapes: (width, height) of the pictures, `[B, 2]`.
        size: of the result.
        resize: crop: the picture just covers `size / crop_pct`; squish: it becomes `size`; pad: it just lies
            within `size`, the rest is filled by reflection.
        crop_pct: share that the crop keeps of the side that limits it, `[B]`; crop only.
    """
    target = _width_height(size)
    if resize == "squish":
        return np.broadcast_to(target, shapes.shape)
    if resize == "pad":
        share = (target / shapes).min(axis=1)
    else:
        share = (target / crop_pct[:, None] / shapes).max(axis=1)
    scaled: Floats = shapes * share[:, None]
    return scaled


def maps(shapes: Floats, size: PictureSize, resize: Resize, views: Views, crop_pct: Floats) -> Floats:
    """Return the maps `[B, 3, 3]` from pixels of the results to pixels of the pictures.

    From the picture to the result: it is scaled and zoomed, rotated about its centre, cropped to `size`,
    seen in perspective about the centre of the crop, turned and mirrored. A quarter turn of what is not
    square would show other parts of the picture: a half turn takes its place. Shapes are (width, height) of
    the pictures, `[B, 2]`; `crop_pct` `[B]` is that of `scaled_sizes`.
    """
    windows, inside = _windows(shapes, size, resize, views, crop_pct)
    target = _width_height(size)
    scale = windows / target
    rotation = _rotations(views.angle)
    position = np.where(inside[:, None], np.stack([views.x, views.y], axis=1), 0.5)
    offset = _whole_pixels((position - 0.5) * (shapes / scale - target), shapes, target, scale, views)
    turns = views.turns if target[0] == target[1] else 2 * (views.turns // 2)
    view = rotation @ _turns(turns, views.mirror)
    centred = _warps(views, target) @ _homogeneous(view, np.zeros_like(offset))
    # Pixel centres lie at half coordinates; OpenCV counts them from 0.
    centre = _homogeneous(np.eye(2) * np.ones_like(view), np.broadcast_to((1 - target) / 2, offset.shape))
    middle = shapes / 2 - 0.5 + scale * (rotation @ offset[:, :, None])[:, :, 0]
    return _homogeneous(scale[:, :, None] * np.eye(2), middle) @ centred @ centre


def rescaled(shapes: Floats, others: Floats) -> Floats:
    """Return the maps `[B, 3, 3]` from pixels of pictures to pixels of the same pictures in other sizes.

    Shapes are (width, height), `[B, 2]`.
    """
    scale = others / shapes
    return _homogeneous(scale[:, :, None] * np.eye(2), (scale - 1) / 2)


def warp(picture: Picture, to_picture: Floats, result: Picture) -> None:
    """Resample a picture bilinearly into `result` `[H, W, C]`; outside of it, it is reflected.

    The map `[3, 3]` is from pixels of the result to pixels of the picture.
    """
    channels = picture.shape[2]
    if channels not in _EXACT:
        for each in range(channels):
            plane = np.empty((*result.shape[:2], 1), dtype=result.dtype)
            warp(np.ascontiguousarray(picture[..., each, None]), to_picture, plane)
            result[..., each] = plane[..., 0]
        return
    size = (result.shape[1], result.shape[0])
    flags, border = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, cv2.BORDER_REFLECT
    if to_picture[2, 0] == 0 and to_picture[2, 1] == 0:
        cv2.warpAffine(picture, to_picture[:2], size, dst=result, flags=flags, borderMode=border)
    else:
        cv2.warpPerspective(picture, to_picture, size, dst=result, flags=flags, borderMode=border)


def _windows(
    shapes: Floats, size: PictureSize, resize: Resize, views: Views, crop_pct: Floats
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the (width, height) in pixels that each view shows, and whether x and y place it."""
    target = _width_height(size)
    if resize == "random_resized_crop":
        # These bring their own scale, so that `crop_pct` does not count.
        windows, inside = _random_windows(shapes, views.crops, target[0] / target[1])
        return windows / views.zoom[:, None], inside
    scaled = scaled_sizes(shapes, size, resize, crop_pct) * views.zoom[:, None]
    return target * shapes / scaled, np.ones(len(shapes), dtype=bool)


def _random_windows(shapes: Floats, crops: Floats, aspect: float) -> tuple[Floats, NDArray[np.bool_]]:
    """Return each picture's first window that fits inside it, or else the largest one, at the centre.

    The ratios of `crops` are relative to the aspect of the view, its width to its height.
    """
    areas, ratios = crops[:, :-1, 0] * shapes.prod(axis=1)[:, None], aspect * crops[:, :-1, 1]
    tries = np.sqrt(np.stack([areas * ratios, areas / ratios], axis=2))
    fits = (tries <= shapes[:, None]).all(axis=2)
    chosen = tries[np.arange(len(tries)), fits.argmax(axis=1)]
    # What the other edge allows: a width by its height, a height by its width.
    allowed = crops[:, -1, 1:] * shapes[:, ::-1] * [aspect, 1 / aspect]
    largest = np.minimum(shapes, allowed)
    inside = fits.any(axis=1)
    return np.where(inside[:, None], chosen, largest), inside


def _whole_pixels(offset: Floats, shapes: Floats, target: Floats, scale: Floats, views: Views) -> Floats:
    """Round the positions of mere crops to whole pixels: copied pixels are not blurred."""
    still = (scale == 1) & ((views.angle == 0) & (views.warp_x == 0) & (views.warp_y == 0))[:, None]
    margin = (shapes - target) / 2
    return np.where(still, np.floor(offset + margin + 0.5) - margin, offset)


def _width_height(size: PictureSize) -> Floats:
    height, width = edges(size)
    return np.array([width, height], dtype=np.float64)


def _rotations(angles: Floats) -> Floats:
    cos, sin = np.cos(angles), np.sin(angles)
    return np.stack([cos, -sin, sin, cos], axis=1).reshape(-1, 2, 2)


def _turns(turns: NDArray[np.int64], mirror: NDArray[np.bool_]) -> Floats:
    cos, sin = np.array([1.0, 0, -1, 0])[turns], np.array([0.0, 1, 0, -1])[turns]
    flip = np.where(mirror, -1.0, 1.0)
    return np.stack([cos * flip, -sin, sin * flip, cos], axis=1).reshape(-1, 2, 2)


def _warps(views: Views, target: Floats) -> Floats:
    """Return the changes of perspective `[B, 3, 3]`, in pixels from the centre of the view.

    The corners of the picture move apart on one side and together on the other.

    Source: `_WarpCoord` of fastai 2.
    """
    if not (views.warp_x.any() or views.warp_y.any()):
        return np.eye(3)[None]
    corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], dtype=np.float64)
    moves = np.stack([views.warp_y, views.warp_x], axis=1)
    moved = corners - corners.prod(axis=1)[:, None] * moves[:, None]
    half = np.diag([*target / 2, 1.0])
    return half @ _perspectives(moved, corners) @ np.linalg.inv(half)


def _perspectives(points: Floats, targets: Floats) -> Floats:
    """Return the maps `[B, 3, 3]` from four points `[B, 4, 2]` to four targets `[4, 2]`."""
    ones, zeros = np.ones_like(points[:, :, :1]), np.zeros((len(points), 4, 3))
    homogeneous = np.concatenate([points, ones], axis=2)
    first = np.concatenate([homogeneous, zeros, -targets[:, :1] * points], axis=2)
    second = np.concatenate([zeros, homogeneous, -targets[:, 1:] * points], axis=2)
    # Four points with two equations each, for the eight unknowns of a map whose last entry is 1.
    system = np.concatenate([first, second], axis=1)
    solution = np.linalg.solve(system, np.broadcast_to(targets.T.reshape(8, 1), (len(points), 8, 1)))
    return np.concatenate([solution[:, :, 0], ones[:, 0]], axis=1).reshape(-1, 3, 3)


def _homogeneous(linear: Floats, shift: Floats) -> Floats:
    result = np.zeros((len(linear), 3, 3))
    result[:, :2, :2], result[:, :2, 2], result[:, 2, 2] = linear, shift, 1
    return result
