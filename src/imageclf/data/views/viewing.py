"""The parameters of the views of a request, the same for every way to make them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imageclf.data.batch import Request
from imageclf.data.views.augmentation import NUM_DRAWS, Augmentation, Floats, Views
from imageclf.data.views.draws import uniforms
from imageclf.data.views.fixed_views import is_varied, views_of
from imageclf.data.views.geometry import Resize, maps, rescaled, stored_side
from imageclf.data.views.lighting import lighting_tables
from imageclf.schedule.size import PictureSize


@dataclass(frozen=True)
class Viewing:
    """How views are drawn; `crop_pct` is that of `maps`, for the plain view."""

    augmentation: Augmentation
    resize: Resize
    crop_pct: float
    seed: int

    def side_of(self, size: PictureSize) -> PictureSize:
        """Return the size that pictures are shrunk to for views of a size."""
        return stored_side(size, self.resize, self.augmentation.max_zoom, self.crop_pct)

    def views(self, request: Request) -> Views:
        """Return the parameters of the views of a request."""
        draws = uniforms(self.seed, request.epoch, request.rows, request.views, NUM_DRAWS)
        return views_of(request.views, self.augmentation, draws, self.resize)

    def maps(self, request: Request, views: Views, shapes: Floats, shrunk: Floats) -> Floats:
        """Return the maps `[B, 3, 3]` from pixels of the views to pixels of the shrunk pictures.

        Shapes are (width, height) of the pictures before and after shrinking, `[B, 2]`.
        """
        crop_pct = np.where(is_varied(request.views), 1.0, self.crop_pct)
        plain: Resize = "crop" if self.resize == "random_resized_crop" else self.resize
        found = maps(shapes, request.size, plain, views, crop_pct)
        if plain != self.resize:
            random_crops = maps(shapes, request.size, self.resize, views, crop_pct)
            found = np.where(request.views[:, None, None] > 0, random_crops, found)
        return rescaled(shapes, shrunk) @ found

    def tables(self, views: Views, means: Floats) -> NDArray[np.uint8]:
        """Return the tables of new values by the lighting of each view, `[B, 256]`; see `lighting_tables`."""
        return lighting_tables(views.brightness, views.contrast, means, self.augmentation.lighting)
