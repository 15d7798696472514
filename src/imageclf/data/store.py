"""Pictures shrunk once to near a size, in one file: raw to be mapped into memory, or as JPEGs."""

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

from imageclf.data.augmentation import Picture
from imageclf.data.decode import read_picture
from imageclf.data.geometry import Resize, shrink, stored_size
from imageclf.formats import open_picture

Form = Literal["raw", "jpeg"]

# Pixels that look the same to the eye, a fifth of the size of raw ones.
_QUALITY = 95
_CHUNK = 512
_SAMPLE = 200


class Shrunk(NamedTuple):
    """A picture as views are made from.

    Args:
        pixels: `[H, W, 3]`; not to be written to.
        shape: (width, height) that it had before, pixels: what the views' geometry goes by, since whole
            pixels change the proportions of what is narrow.
    """

    pixels: Picture
    shape: tuple[int, int]


def read_shrunk(path: str, size: int, side: int, resize: Resize) -> Shrunk:
    """Return a picture as views of `size` are made from.

    Args:
        path: of the file.
        size: pixels a side of the views.
        side: what `stored_side` says for them.
        resize: how a view becomes a square.
    """
    picture = read_picture(path, at_least=max(side, 2 * size))
    shape = (picture.shape[1], picture.shape[0])
    return Shrunk(shrink(picture, *stored_size(*shape, side, resize)), shape)


def write_store(folder: Path, paths: Sequence[str], size: int, side: int, resize: Resize, form: Form) -> None:
    """Write `pixels.bin` and `index.npy`: where each picture is, and its sizes, `[N, 6]`.

    A row of the index holds offset, bytes, height, width, and width and height before shrinking.

    The same files give the same bytes, however many processors read them.

    Raises:
        InputError: a file cannot be read.
    """
    index = np.zeros((len(paths), 6), dtype=np.int64)
    read = partial(read_shrunk, size=size, side=side, resize=resize)
    with (folder / "pixels.bin").open("wb") as file:
        shrunk = track(
            _in_order(read, paths),
            f"Shrinking pictures for {size} px",
            total=len(paths),
            transient=True,
            disable=len(paths) < 1000,
        )
        for row, (pixels, shape) in enumerate(shrunk):
            content = pixels.tobytes() if form == "raw" else _to_jpeg(pixels)
            index[row] = (file.tell(), len(content), *pixels.shape[:2], *shape)
            file.write(content)
    np.save(folder / "index.npy", index)


class StoredPictures(NamedTuple):
    """Where a store is; unlike an open one it travels between processes.

    Args:
        folder: of the store.
        form: as it was written.
    """

    folder: Path
    form: Form

    @property
    def num_bytes(self) -> int:
        """Return the size of all its pictures."""
        return (self.folder / "pixels.bin").stat().st_size


@lru_cache(maxsize=16)
def open_store(stored: StoredPictures) -> "Store":
    """Return a store, opened once per process."""
    return Store(*stored)


class Store:
    """Read what `write_store` wrote.

    Args:
        folder: of the store.
        form: as it was written.

    Attributes:
        index: as `write_store` says, `[N, 6]`.
        pixels: all bytes of the file.
    """

    def __init__(self, folder: Path, form: Form) -> None:
        # Both mapped: processes share one copy in memory, and nothing is read before it is needed.
        self.index: NDArray[np.int64] = np.load(folder / "index.npy", mmap_mode="r")
        self.pixels: NDArray[np.uint8] = np.memmap(folder / "pixels.bin", dtype=np.uint8, mode="r").view(
            np.ndarray
        )
        self._form = form

    def read(self, row: int) -> Shrunk:
        """Return a picture as `read_shrunk` does, but for what JPEG loses."""
        offset, length, height, width, *shape = self.index[row].tolist()
        content = self.pixels[offset : offset + length]
        if self._form == "raw":
            return Shrunk(content.reshape(height, width, 3), (shape[0], shape[1]))
        with Image.open(io.BytesIO(content.tobytes()), formats=("JPEG",)) as image:
            return Shrunk(np.asarray(image), (shape[0], shape[1]))


def raw_bytes(paths: Sequence[str], side: int, resize: Resize) -> int:
    """Return about how many bytes a raw store takes, from the sizes of some pictures spread over the list.

    Raises:
        InputError: one of them is missing or no picture.
    """
    chosen = [paths[round(i)] for i in np.linspace(0, len(paths) - 1, min(len(paths), _SAMPLE))]
    areas = [np.prod(stored_size(*_size(path), side, resize)) for path in chosen]
    return round(3 * float(np.mean(areas)) * len(paths))


def _in_order(read: partial[Shrunk], paths: Sequence[str]) -> Iterator[Shrunk]:
    with ThreadPoolExecutor() as pool:
        # In parts: all at once, what is read and not yet written could fill the memory.
        for start in range(0, len(paths), _CHUNK):
            yield from pool.map(read, paths[start : start + _CHUNK])


def _to_jpeg(picture: Picture) -> bytes:
    content = io.BytesIO()
    # Colour at full resolution: most files have halved it already, and it would be blurred once more.
    Image.fromarray(picture).save(content, "JPEG", quality=_QUALITY, subsampling=0)
    return content.getvalue()


def _size(path: str) -> tuple[int, int]:
    # The header alone; a picture on its side has the same area.
    try:
        with open_picture(path) as image:
            return image.size
    except Exception:  # Pillow's plugins raise anything on a broken file; reading it says what is wrong.
        height, width = read_picture(path).shape[:2]
        return width, height
