"""Stores of shrunk pictures, each in one file: raw, to be mapped into memory, or as JPEGs."""

import io
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imageclf.data.pictures.decode import read_picture, shape_of
from imageclf.data.pictures.pixels import RGB, Pixels
from imageclf.data.views.augmentation import Picture
from imageclf.data.views.geometry import Resize, shrink, stored_size
from imageclf.schedule.size import PictureSize, edges

Form = Literal["raw", "jpeg"]

_SAMPLE = 200


class Shrunk(NamedTuple):
    """A picture as views are made from it.

    Args:
        pixels: `[H, W, C]`; not to be written to.
        shape: (width, height) before shrinking, pixels: the geometry of views goes by it, since rounding
            to whole pixels changes the proportions of narrow pictures.
    """

    pixels: Picture
    shape: tuple[int, int]


def read_shrunk(
    path: str, size: PictureSize, side: PictureSize, resize: Resize, pixels: Pixels = RGB
) -> Shrunk:
    """Return a picture as views of `size` are made from it; `side` is the `stored_side` of that size."""
    return shrunk(read_picture(path, sufficient(size, side), pixels), side, resize)


def shrunk(picture: Picture, side: PictureSize, resize: Resize) -> Shrunk:
    """Shrink a picture that was decoded at a sufficient scale."""
    shape = (picture.shape[1], picture.shape[0])
    return Shrunk(shrink(picture, *stored_size(*shape, side, resize)), shape)


def sufficient(size: PictureSize, side: PictureSize) -> int:
    """Return the pixels a side that a picture is decoded at, at least, before it is shrunk to `side`."""
    # Both edges by the longer one: a file may be turned once it is decoded.
    return max(*edges(side), 2 * max(edges(size)))


@contextmanager
def writing(folder: Path) -> Iterator[Callable[[Sequence[Picture], NDArray[np.int64]], None]]:
    """Yield a function that appends pictures to a new store: the content of each, and their sizes `[N, 4]`.

    Sizes are height and width, then width and height before shrinking. The store is two files: `pixels.bin`,
    and `index.npy`, `[N, 6]`, with offset and bytes of each picture before its sizes.
    """
    index = [np.zeros((0, 6), dtype=np.int64)]
    with (folder / "pixels.bin").open("wb") as file:

        def append(contents: Sequence[Picture], sizes: NDArray[np.int64]) -> None:
            """Append some pictures."""
            lengths = np.array([content.nbytes for content in contents], dtype=np.int64)
            offsets = file.tell() + np.cumsum(lengths) - lengths
            index.append(np.column_stack([offsets, lengths, sizes]))
            for content in contents:
                file.write(content.data)

        yield append
    np.save(folder / "index.npy", np.concatenate(index))


class StoredPictures(NamedTuple):
    """Where a store is; unlike an open one it can be sent to other processes."""

    folder: Path
    form: Form
    pixels: Pixels = RGB

    @property
    def num_bytes(self) -> int:
        """Return the size of all its pictures."""
        return (self.folder / "pixels.bin").stat().st_size


@lru_cache(maxsize=16)
def open_store(stored: StoredPictures) -> "Store":
    """Return a store, opened once per process."""
    return Store(*stored)


class Store:
    """Read what `writing` wrote.

    Attributes:
        index: see `writing`, `[N, 6]`.
        pixels: all bytes of the file.
    """

    def __init__(self, folder: Path, form: Form, pixels: Pixels = RGB) -> None:
        # Both mapped: processes share one copy in memory, and nothing is read before it is needed.
        self.index: NDArray[np.int64] = np.load(folder / "index.npy", mmap_mode="r")
        self.pixels: NDArray[np.uint8] = np.memmap(folder / "pixels.bin", dtype=np.uint8, mode="r").view(
            np.ndarray
        )
        self._form = form
        self._kind = pixels

    def read(self, row: int) -> Shrunk:
        """Return a picture as `read_shrunk` does, apart from what JPEG loses."""
        offset, length, height, width, *shape = self.index[row].tolist()
        content = self.pixels[offset : offset + length]
        if self._form == "raw":
            values = content.view(self._kind.dtype)
        else:
            with Image.open(io.BytesIO(content.tobytes()), formats=("JPEG",)) as image:
                values = np.asarray(image)
        return Shrunk(values.reshape(height, width, self._kind.channels), (shape[0], shape[1]))


def raw_bytes(paths: Sequence[str], side: PictureSize, resize: Resize, pixels: Pixels = RGB) -> int:
    """Estimate the bytes of a raw store from the sizes of some pictures spread over the list.

    Files that are missing or not pictures are not counted.
    """
    shapes = [shape for shape in map(shape_of, some_of(paths, _SAMPLE)) if shape is not None]
    areas = [np.prod(stored_size(*shape, side, resize)) for shape in shapes]
    return round(pixels.num_bytes * float(np.mean(areas)) * len(paths)) if areas else 0


def some_of(paths: Sequence[str], most: int) -> list[str]:
    """Return up to `most` paths, spread evenly over the list; the same each time."""
    return [paths[round(i)] for i in np.linspace(0, len(paths) - 1, min(len(paths), most))]
