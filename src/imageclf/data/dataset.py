"""The dataset of pictures: a request holds all instructions, the dataset has no state."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from imageclf.data.batch import Batch, Request
from imageclf.data.pictures.pixels import RGB, Pixels
from imageclf.data.pictures.store import Shrunk, StoredPictures, open_store, read_shrunk
from imageclf.data.slots import Memory
from imageclf.data.views.augmentation import Augmentation, Floats, Picture, Views
from imageclf.data.views.extra import checked_view, seeded
from imageclf.data.views.fixed_views import is_varied
from imageclf.data.views.geometry import Resize, warp
from imageclf.data.views.lighting import light, light_16, mean_value
from imageclf.data.views.viewing import Viewing
from imageclf.schedule.size import PictureSize


class PictureDataset(Dataset[Batch]):
    """Answer requests with batches of pictures.

    A picture is shrunk to near the requested size, once for all if there is a store of that size, and
    every view of it is one resampling from there. Paths and labels `[N]`, -1 where unknown, are those of
    the table's rows; `crop_pct` is that of `maps`, for the plain view.
    Pictures that are in memory are given as `shrunk`, for views of one size, and their paths are not read.
    `pixels` says how many channels and bits the pictures have.
    """

    def __init__(
        self,
        paths: Sequence[str],
        labels: NDArray[np.int64],
        augmentation: Augmentation,
        resize: Resize,
        crop_pct: float,
        seed: int,
        shrunk: Sequence[Shrunk] | None = None,
        pixels: Pixels = RGB,
    ) -> None:
        self._shrunk = shrunk
        self.pixels = pixels
        # By size of the views; sizes without a store are read from the files.
        self.stores: Mapping[PictureSize, StoredPictures] = {}
        # An array of bytes, not a list: touching a list's objects counts references to them, which copies
        # their pages into every worker: https://github.com/pytorch/pytorch/issues/13246.
        self._paths = np.array([str(path).encode() for path in paths], dtype=np.bytes_)
        self.labels = labels
        self.viewing = Viewing(augmentation, resize, crop_pct, seed)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, request: Request) -> Batch:
        """Return the batch of a request; equal rows that are adjacent are read once.

        Raises:
            InputError: a file cannot be read.
        """
        images = self.empty(request)
        self.render(request, images)
        return self.batch(request, images)

    def num_bytes(self, request: Request) -> int:
        """Return the bytes of the pictures of a request."""
        return int(np.prod(request.shape(self.pixels.num_bytes)))

    def empty(self, request: Request) -> Picture:
        """Return an array for the pictures of a request, `[B, H, W, C]`."""
        return np.empty(request.shape(self.pixels.channels), dtype=self.pixels.dtype)

    def shaped(self, memory: Memory, request: Request) -> Picture:
        """Return the start of some memory as an array for the pictures of a request."""
        values = memory[: self.num_bytes(request)].view(self.pixels.dtype)
        return values.reshape(request.shape(self.pixels.channels))

    def batch(self, request: Request, images: Picture) -> Batch:
        """Return the batch of a request whose pictures are `images` `[B, H, W, C]`."""
        return Batch.of(request, self.labels, torch.from_numpy(images).permute(0, 3, 1, 2))

    def render(self, request: Request, images: Picture) -> None:
        """Write the pictures of a request into `images` `[B, H, W, C]`.

        Raises:
            InputError: a file cannot be read, or the transform of the user's own returns no picture.
        """
        pictures = self._read(request)
        views = self.viewing.views(request)
        to_pictures = self._maps(pictures, request, views)
        lights = self._lights(pictures, views)
        varied = is_varied(request.views)
        extra = self.viewing.augmentation.extra
        for index, picture in enumerate(pictures):
            warp(picture.pixels, to_pictures[index], images[index])
            if lights:
                lights[index](images[index])
            if extra is not None and varied[index]:
                changed = seeded(extra, images[index], int(views.seed[index]))
                images[index] = checked_view(changed, images[index])

    def side_of(self, size: PictureSize) -> PictureSize:
        """Return the size that pictures are shrunk to for views of a size."""
        return self.viewing.side_of(size)

    def _read(self, request: Request) -> list[Shrunk]:
        read = self._reader(request.size)
        pictures: list[Shrunk] = []
        rows = request.rows.tolist()
        # Only the row before is compared: the views of a picture are next to each other, see `Requests`.
        for row, before in zip(rows, (-1, *rows), strict=False):
            pictures.append(pictures[-1] if row == before else read(row))
        return pictures

    def _reader(self, size: PictureSize) -> Callable[[int], Shrunk]:
        """Return what reads the picture of a row."""
        if self._shrunk is not None:
            return self._shrunk.__getitem__
        stored = self.stores.get(size)
        return partial(self._read_file, size=size) if stored is None else open_store(stored).read

    def _read_file(self, row: int, size: PictureSize) -> Shrunk:
        path, side = self._paths[row].decode(), self.side_of(size)
        return read_shrunk(path, size, side, self.viewing.resize, self.pixels)

    def _maps(self, pictures: Sequence[Shrunk], request: Request, views: Views) -> Floats:
        shapes = np.array([picture.shape for picture in pictures], dtype=np.float64)
        shrunk = np.array([picture.pixels.shape[1::-1] for picture in pictures], dtype=np.float64)
        return self.viewing.maps(request, views, shapes, shrunk)

    def _lights(self, pictures: Sequence[Shrunk], views: Views) -> list[Callable[[Picture], None]]:
        """Return what changes the lighting of each view in place; nothing where none is changed."""
        if not (views.brightness.any() or (views.contrast != 1).any()):
            return []
        means = np.array([mean_value(picture.pixels) for picture in pictures])
        if self.pixels.bits == 8:
            # A table of 256 values does for them; with 16 bits the line itself is computed.
            return [partial(light, table=table) for table in self.viewing.tables(views, means)]
        changes = zip(views.brightness, views.contrast, means, strict=True)
        white = self.pixels.white
        return [
            partial(light_16, brightness=brightness, contrast=contrast, mean=mean, white=white)
            for brightness, contrast, mean in changes
        ]
