"""Pictures by request: a request says everything, the dataset holds no state."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from imageclf.data.augmentation import NUM_DRAWS, Augmentation, Views, draw_views, plain_views, where
from imageclf.data.decode import read_picture
from imageclf.data.draws import uniforms
from imageclf.data.geometry import Picture, Resize, affine, light, scaled_size, shrink, warp


@dataclass(frozen=True)
class Request:
    """A complete instruction for one batch.

    Args:
        rows: positions in the table, `[B]`.
        views: which drawing of each picture, `[B]`; 0 is the picture as it is.
        epoch: counted from the run's start; with the row and the view it decides the draws.
        size: pixels a side.
    """

    rows: NDArray[np.int64]
    views: NDArray[np.int64]
    epoch: int
    size: int


class Batch(NamedTuple):
    """Pictures or, in their place, cached features.

    Args:
        images: uint8 `[B, 3, H, W]`, stored channels-last, or None.
        features: `[B, F]`, or None.
        labels: class indices `[B]`, -1 where unknown.
        rows: positions in the table `[B]`.
    """

    images: Tensor | None
    features: Tensor | None
    labels: Tensor
    rows: Tensor


class PictureDataset(Dataset[Batch]):
    """Answer requests with batches of pictures.

    Args:
        paths: a file per row of the table.
        labels: class indices `[N]`, -1 where unknown.
        augmentation: what a view other than 0 may do.
        resize: how a picture is brought to a square.
        crop_pct: share of the shorter side that the plain view's crop keeps.
        seed: of the draws.
    """

    def __init__(
        self,
        paths: Sequence[str],
        labels: NDArray[np.int64],
        augmentation: Augmentation,
        resize: Resize,
        crop_pct: float,
        seed: int,
    ) -> None:
        # An array of bytes, not a list: touching a list's objects copies their pages into every worker.
        self._paths = np.array([str(path).encode() for path in paths], dtype=np.bytes_)
        self._labels = labels
        self._augmentation = augmentation
        self._resize = resize
        self._crop_pct = crop_pct
        self._seed = seed

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self._labels)

    def __getitem__(self, request: Request) -> Batch:
        """Return the batch of a request; equal rows next to each other are read once.

        Raises:
            InputError: a file cannot be read.
        """
        views = self._views(request)
        images = np.empty((len(request.rows), request.size, request.size, 3), dtype=np.uint8)
        last, picture = -1, images[:0]
        for index, row in enumerate(request.rows):
            if row != last:
                picture, last = read_picture(self._paths[row].decode(), at_least=2 * request.size), row
            images[index] = self._render(picture, views, index, request)
        return Batch(
            images=torch.from_numpy(images).permute(0, 3, 1, 2),
            features=None,
            labels=torch.from_numpy(self._labels[request.rows]),
            rows=torch.from_numpy(request.rows),
        )

    def _views(self, request: Request) -> Views:
        draws = uniforms(self._seed, request.epoch, request.rows, request.views, NUM_DRAWS)
        drawn = draw_views(self._augmentation, draws)
        return where(request.views == 0, plain_views(len(request.rows)), drawn)

    def _render(self, picture: Picture, views: Views, index: int, request: Request) -> Picture:
        crop_pct = self._crop_pct if request.views[index] == 0 else 1.0
        height, width = picture.shape[:2]
        scaled = scaled_size(width, height, request.size, self._resize, crop_pct)
        picture = shrink(picture, *scaled)
        matrix = affine(picture.shape[1], picture.shape[0], scaled, request.size, views, index)
        lit = light(picture, float(views.brightness[index]), float(views.contrast[index]))
        return warp(lit, matrix, request.size)
