"""The ranges of an augmentation, and the views drawn from them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from imageclf.schedule.ranges import check_ranges

CROP_TRIES = 10
NUM_DRAWS = 17 + 2 * CROP_TRIES

Floats = NDArray[np.float64]
Picture = NDArray[Any]
"""Pixels `[H, W, C]`, uint8 or uint16; RGB unless the run has other `Pixels`."""


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random views of a picture; every draw is uniform within its range.

    Args:
        max_rotate: degrees either way.
        p_rotate: probability of a rotation.
        max_zoom: largest factor of enlargement before the crop, from 1.
        p_zoom: probability of a zoom.
        max_warp: largest change of perspective, as a fraction of half a side; along each axis.
        p_warp: probability of a change along an axis.
        max_lighting: largest change of brightness and of contrast, as a fraction.
        p_lighting: probability of a change of brightness, and of one of contrast.
        lighting: linear: brightness added, contrast about the picture's mean, as fastai 0.7 does;
            logit: both in logit space, as fastai 2 does.
        p_flip: probability of a mirror image.
        dihedral: also turn by 0, 90, 180 or 270 degrees, for pictures taken from above.
        min_scale: smallest share of the picture's area that `data.resize=random_resized_crop` keeps.
        max_ratio: largest width to height of that crop, and height to width.
        extra: called last with a view `[H, W, C]`, uint8 or uint16; returns another, see `checked_view`. The
            generators of Python, NumPy and torch are seeded before each call.

    Raises:
        InputError: a value is outside its range.

    Source: `tfms_from_model(arch, sz, aug_tfms=transforms_side_on, max_zoom=1.1)` of fastai 0.7,
    `aug_transforms` of fastai 2.
    """

    max_rotate: float
    p_rotate: float
    max_zoom: float
    p_zoom: float
    max_warp: float
    p_warp: float
    max_lighting: float
    p_lighting: float
    lighting: Literal["linear", "logit"]
    p_flip: float
    dihedral: bool
    min_scale: float
    max_ratio: float
    extra: Callable[[Picture], Any] | None

    def __post_init__(self) -> None:
        check_ranges("transforms", vars(self))


class Views(NamedTuple):
    """The parameters of each view of a batch; every array is `[B]` except `crops`.

    Args:
        angle: rotation, radians.
        zoom: enlargement before the crop.
        warp_x: change of perspective along x, as a fraction of half a side.
        warp_y: likewise along y.
        mirror: whether it is flipped left to right.
        turns: quarter turns.
        x: position of the crop, 0 left to 1 right.
        y: position of the crop, 0 top to 1 bottom.
        brightness: linear: added, as a fraction of white; logit: added to the logits.
        contrast: factor; linear: on the distance to the picture's mean; logit: on the logits.
        crops: of random resized crops: shares of the area and ratios of width to height to try in
            turn, and last the largest ratio either way, for pictures that contain none of those,
            `[B, CROP_TRIES + 1, 2]`.
        seed: of `Augmentation.extra`, 0 to 2**32 - 1.
    """

    angle: Floats
    zoom: Floats
    warp_x: Floats
    warp_y: Floats
    mirror: NDArray[np.bool_]
    turns: NDArray[np.int64]
    x: Floats
    y: Floats
    brightness: Floats
    contrast: Floats
    crops: Floats
    seed: NDArray[np.int64]


def plain_views(count: int) -> Views:
    """Return views without any change, cropped at the centre."""
    zeros, ones, half = np.zeros(count), np.ones(count), np.full(count, 0.5)
    no, none = np.zeros(count, dtype=bool), np.zeros(count, dtype=np.int64)
    whole = np.ones((count, CROP_TRIES + 1, 2))
    return Views(zeros, ones, zeros, zeros, no, none, half, half, zeros, ones, whole, none)


def draw_views(augmentation: Augmentation, draws: Floats) -> Views:
    """Return random views from draws in [0, 1), `[B, NUM_DRAWS]`.

    Source: RandomRotate, RandomLighting, RandomFlip, RandomDihedral, RandomScale of fastai 0.7; Warp,
    Brightness and Contrast of fastai 2; `RandomResizedCrop.get_params` of torchvision.
    """
    u, aug = draws.T, augmentation
    brightness, contrast = _lighting(aug, u[8], u[9])
    return Views(
        angle=np.where(u[0] < aug.p_rotate, np.radians(aug.max_rotate) * _spread(u[1]), 0.0),
        zoom=np.where(u[2] < aug.p_zoom, 1 + (aug.max_zoom - 1) * u[3], 1.0),
        warp_x=np.where(u[12] < aug.p_warp, aug.max_warp * _spread(u[13]), 0.0),
        warp_y=np.where(u[14] < aug.p_warp, aug.max_warp * _spread(u[15]), 0.0),
        mirror=u[4] < aug.p_flip,
        turns=(4 * u[5]).astype(np.int64) * aug.dihedral,
        x=u[6],
        y=u[7],
        brightness=np.where(u[10] < aug.p_lighting, brightness, 0.0),
        contrast=np.where(u[11] < aug.p_lighting, contrast, 1.0),
        crops=_crops(aug, draws[:, 17:]),
        seed=(u[16] * 2**32).astype(np.int64),
    )


def where(chosen: NDArray[np.bool_], some: Views, others: Views) -> Views:
    """Return `some` views where `chosen` `[B]` is true, and `others` elsewhere."""
    pairs = zip(some, others, strict=True)
    return Views(*(np.where(chosen.reshape(-1, *[1] * (one.ndim - 1)), one, other) for one, other in pairs))


def _spread(u: Floats) -> Floats:
    return 2 * u - 1


def _lighting(aug: Augmentation, u: Floats, v: Floats) -> tuple[Floats, Floats]:
    if aug.lighting == "logit":
        change = 0.5 + 0.5 * aug.max_lighting * _spread(u)
        return np.log(change / (1 - change)), (1 - aug.max_lighting) ** _spread(v)
    # Asymmetric as in fastai 0.7: down by as much as up, as a factor.
    contrast = aug.max_lighting * _spread(v)
    return aug.max_lighting * _spread(u), np.where(contrast < 0, 1 / (1 - contrast), 1 + contrast)


def _crops(aug: Augmentation, draws: Floats) -> Floats:
    areas = aug.min_scale + (1 - aug.min_scale) * draws[:, :CROP_TRIES]
    tries = np.stack([areas, aug.max_ratio ** _spread(draws[:, CROP_TRIES:])], axis=2)
    last = np.broadcast_to([1.0, aug.max_ratio], (len(draws), 1, 2))
    return np.concatenate([tries, last], axis=1)
