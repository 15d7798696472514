"""Brightness and contrast: of 8 bits as one table of 256 values per picture, of 16 as a line."""

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from imageclf.data.views.augmentation import Floats, Picture

_STEPS = np.arange(256) / 255


def lighting_tables(
    brightness: Floats, contrast: Floats, means: Floats, lighting: Literal["linear", "logit"]
) -> NDArray[np.uint8]:
    """Return the table of new values of each picture, `[B, 256]`.

    Args:
        brightness: linear: added, as a fraction of white; logit: added to the logits, `[B]`.
        contrast: factor; linear: on the distance to the mean; logit: on the logits, `[B]`.
        means: of the pictures' values, 0 to 255, `[B]`; linear only.
        lighting: linear: clipped to black and white, as in fastai 0.7; logit: as in fastai 2.

    Source: `lighting(im, b, c)` of fastai 0.7; `Brightness` and `Contrast` of fastai 2.
    """
    shift, factor, mean = brightness[:, None], contrast[:, None], means[:, None] / 255
    if lighting == "linear":
        values = (_STEPS - mean) * factor + mean + shift
    else:
        # As in fastai: the logits of black and white stay finite.
        steps = _STEPS.clip(1e-7, 1 - 1e-7)
        values = 1 / (1 + np.exp(-(np.log(steps / (1 - steps)) + shift) * factor))
    return np.clip(np.rint(255 * values), 0, 255).astype(np.uint8)


def light(picture: Picture, table: NDArray[np.uint8]) -> None:
    """Replace each value of a picture `[H, W, C]` by its value in a table `[256]`, in place."""
    cv2.LUT(picture, table, dst=picture)


def light_16(picture: Picture, brightness: float, contrast: float, mean: float, white: float) -> None:
    """Do what `light` does with a linear table, to a picture of 16 bits `[H, W, C]`, in place.

    Contrast is a factor on the distance to the mean of the picture's values. Brightness is added, as a
    fraction of `white`: 16 bits are seldom used up to their largest value.
    """
    lit = (picture - np.float32(mean)) * np.float32(contrast) + np.float32(mean + brightness * white)
    picture[:] = lit.round().clip(0, np.iinfo(picture.dtype).max)


def mean_value(picture: Picture) -> float:
    """Return the mean over all pixels and channels of a picture `[H, W, C]`."""
    channels: int = picture.shape[2]
    if channels > 4:
        return float(picture.mean())
    # Ten times as fast as NumPy's.
    means: Sequence[float] = cv2.mean(picture)
    return sum(means[:channels]) / channels
