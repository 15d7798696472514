"""Views by number: 0 is the picture as it is, 1 and up are drawn, -1 and down are fixed crops."""

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imageclf.data.views.augmentation import Augmentation, Floats, Views, draw_views, plain_views, where
from imageclf.data.views.geometry import Resize

ViewNumbers = NDArray[np.int64]


class FixedView(NamedTuple):
    """A crop whose position is not drawn.

    Args:
        x: position of the crop, 0 left to 1 right.
        y: position of the crop, 0 top to 1 bottom.
        mirror: whether it is flipped left to right.
        zoom: enlargement before the crop.
        varied: whether everything else is drawn: rotation, perspective, lighting, `Augmentation.extra`; if
            not, the picture is scaled as for the plain view.
    """

    x: float
    y: float
    mirror: bool
    zoom: float
    varied: bool


# In the order of fastai 1 and of TenCrop; TenCrop's tenth crop, the centre, is the plain view.
_ZOOMED = [FixedView(x, y, mirror, 1.35, True) for mirror, x, y in product((False, True), (0, 1), (0, 1))]
_PLACES = ((0, 0), (1, 0), (0, 1), (1, 1), (0.5, 0.5))
_CROPS = [FixedView(x, y, mirror, 1, False) for mirror, (x, y) in product((False, True), _PLACES)]
_FIXED = (*_ZOOMED, *(crop for crop in _CROPS if crop != FixedView(0.5, 0.5, False, 1, False)))
_TABLE = np.array(_FIXED, dtype=np.float64)

# Numbers of the eight zoomed corners, and of the nine crops that make ten with the plain view.
ZOOMED_CORNERS = tuple(range(-1, -1 - len(_ZOOMED), -1))
NINE_CROPS = tuple(range(-1 - len(_ZOOMED), -1 - len(_FIXED), -1))
# 224 of 256 pixels: where the plain view shows the whole picture, corners need a zoom to differ.
_CORNER_ZOOM = 8 / 7


def views_of(numbers: ViewNumbers, augmentation: Augmentation, draws: Floats, resize: Resize) -> Views:
    """Return the parameters of views by their numbers `[B]`, of which the lowest is -17.

    The draws are numbers in [0, 1), `[B, NUM_DRAWS]`.

    Source: `learn.tta_only(scale=1.35)` of fastai 1; `ten_crop` of torchvision.
    """
    views = where(is_varied(numbers), draw_views(augmentation, draws), plain_views(len(numbers)))
    fixed = numbers < 0
    x, y, mirror, zoom, varied = _rows(numbers).T
    if resize in ("squish", "pad"):
        zoom = np.where((varied == 0) & (x != 0.5), _CORNER_ZOOM, zoom)
    return views._replace(
        x=np.where(fixed, x, views.x),
        y=np.where(fixed, y, views.y),
        mirror=np.where(fixed, mirror == 1, views.mirror),
        zoom=np.where(fixed, zoom, views.zoom),
        turns=np.where(fixed, 0, views.turns),
    )


def is_varied(numbers: ViewNumbers) -> NDArray[np.bool_]:
    """Return whether anything in a view is drawn, `[B]`."""
    varied: NDArray[np.bool_] = np.where(numbers < 0, _rows(numbers)[:, 4] == 1, numbers > 0)
    return varied


def _rows(numbers: ViewNumbers) -> Floats:
    """Return the table's row of each fixed view, and an arbitrary row for the others."""
    return _TABLE[np.where(numbers < 0, -1 - numbers, 0)]
