"""Brightness and contrast as one table of 256 values per picture."""

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
    """Replace each value of a picture `[H, W, 3]` by its value in a table `[256]`, in place."""
    cv2.LUT(picture, table, dst=picture)


def mean_value(picture: Picture) -> float:
    """Return the mean over all pixels and channels of a picture `[H, W, 3]`."""
    # Ten times as fast as NumPy's.
    return sum(cv2.mean(picture)[:3]) / 3
