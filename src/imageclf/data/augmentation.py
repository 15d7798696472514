"""What an augmentation may do to a picture, and the views it draws."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imageclf import InputError

NUM_DRAWS = 10

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random views of a picture; every draw is uniform within its range.

    Args:
        max_rotate: degrees either way.
        p_rotate: probability of a rotation.
        max_zoom: largest factor of enlargement before the crop, from 1.
        p_zoom: probability of a zoom.
        max_lighting: largest change of brightness and of contrast, as a fraction.
        p_flip: probability of a mirror image.
        dihedral: turn by 0, 90, 180 or 270 degrees besides, for pictures taken from above.

    Raises:
        InputError: a value is outside its range.

    Source: `tfms_from_model(arch, sz, aug_tfms=transforms_side_on, max_zoom=1.1)` of fastai 0.7.
    """

    max_rotate: float
    p_rotate: float
    max_zoom: float
    p_zoom: float
    max_lighting: float
    p_flip: float
    dihedral: bool

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        for name, low, high in (
            ("max_rotate", 0, 180),
            ("p_rotate", 0, 1),
            ("max_zoom", 1, 10),
            ("p_zoom", 0, 1),
            ("max_lighting", 0, 0.9),
            ("p_flip", 0, 1),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise InputError(f"transforms.{name}={value}: give a number from {low} to {high}")


class Views(NamedTuple):
    """How each picture of a batch is to be seen; every array is `[B]`.

    Args:
        angle: rotation, radians.
        zoom: enlargement before the crop.
        mirror: whether it is flipped left to right.
        turns: quarter turns.
        x: position of the crop, 0 left to 1 right.
        y: position of the crop, 0 top to 1 bottom.
        brightness: added, as a fraction of white.
        contrast: factor on the distance to the picture's mean.
    """

    angle: Floats
    zoom: Floats
    mirror: NDArray[np.bool_]
    turns: NDArray[np.int64]
    x: Floats
    y: Floats
    brightness: Floats
    contrast: Floats


def plain_views(count: int) -> Views:
    """Return views of pictures as they are, cropped in the centre."""
    zeros, ones = np.zeros(count), np.ones(count)
    half = np.full(count, 0.5)
    return Views(zeros, ones, zeros.astype(bool), zeros.astype(np.int64), half, half, zeros, ones)


def draw_views(augmentation: Augmentation, draws: Floats) -> Views:
    """Return random views.

    Args:
        augmentation: the ranges.
        draws: numbers in [0, 1), `[B, NUM_DRAWS]`.

    Source: RandomRotate, RandomLighting, RandomFlip, RandomDihedral, RandomScale of fastai 0.7: the
    contrast factor is c + 1 for c >= 0, else 1 / (1 - c).
    """
    u = draws.T
    spread = augmentation.max_lighting
    # Asymmetric as in fastai 0.7: down by as much as up, as a factor.
    contrast = spread * (2 * u[9] - 1)
    return Views(
        angle=np.where(
            u[0] < augmentation.p_rotate, np.radians(augmentation.max_rotate) * (2 * u[1] - 1), 0.0
        ),
        zoom=np.where(u[2] < augmentation.p_zoom, 1 + (augmentation.max_zoom - 1) * u[3], 1.0),
        mirror=u[4] < augmentation.p_flip,
        turns=(4 * u[5]).astype(np.int64) * augmentation.dihedral,
        x=u[6],
        y=u[7],
        brightness=spread * (2 * u[8] - 1),
        contrast=np.where(contrast < 0, 1 / (1 - contrast), 1 + contrast),
    )


def where(chosen: NDArray[np.bool_], some: Views, others: Views) -> Views:
    """Return `some` views where `chosen` `[B]` is true, and `others` elsewhere."""
    return Views(*(np.where(chosen, one, other) for one, other in zip(some, others, strict=True)))
