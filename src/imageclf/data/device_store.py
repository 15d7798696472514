"""The shrunk pictures of one size in the memory of the device that trains, where their views are made."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imageclf import InputError
from imageclf.data.batch import Batch, Request
from imageclf.data.pictures.store import Store, StoredPictures, open_store
from imageclf.data.views.augmentation import Augmentation, Floats
from imageclf.data.views.lighting import mean_value
from imageclf.data.views.resample import resample
from imageclf.data.views.viewing import Viewing

log = logging.getLogger(__name__)

Resample = Callable[..., Tensor]
"""A function like `imageclf.data.views.resample.resample`."""

# Bytes that are copied to the device at a time.
_CHUNK = 1 << 26


class DeviceStore:
    """Answer requests with batches on the device.

    Every rank holds all pictures, because every epoch divides them anew. A batch takes one copy of about
    330 bytes per picture (its place, map and lighting) and no host sync.

    Attributes:
        pixels: of all pictures, on the device, uint8 `[N]`.
        resample: makes views of them.

    Raises:
        InputError: the device runs out of memory.
    """

    def __init__(
        self, stored: StoredPictures, viewing: Viewing, labels: NDArray[np.int64], device: torch.device
    ) -> None:
        store = open_store(stored)
        index = np.asarray(store.index)
        # (offset, width, height) of the shrunk pictures, and (width, height) before shrinking.
        self._places = index[:, [0, 3, 2]]
        self._shapes = index[:, 4:].astype(np.float64)
        self._means = _means(store, viewing.augmentation)
        self._channels = stored.pixels.channels
        self.pixels = _on_device(store.pixels, device)
        self._viewing = viewing
        self._labels = labels
        self.resample = fastest_on(device)

    def render(self, request: Request) -> Batch:
        """Return the batch of a request."""
        rows, labels, *arguments = self.send(request)
        images = self.resample(self.pixels, *arguments, size=request.size, channels=self._channels)
        return Batch(images.permute(0, 3, 1, 2), None, labels, rows, request.weight, request.total)

    def send(self, request: Request) -> list[Tensor]:
        """Return rows, labels, places, maps and tables of a request, on the device."""
        rows = request.rows
        views = self._viewing.views(request)
        shrunk = self._places[rows, 1:].astype(np.float64)
        maps = self._viewing.maps(request, views, self._shapes[rows], shrunk)
        arrays = (
            rows,
            self._labels[rows],
            self._places[rows],
            maps.reshape(-1, 9).astype(np.float32),
            self._viewing.tables(views, self._means[rows]),
        )
        return to_device(arrays, self.pixels.device)


def fastest_on(device: torch.device) -> Resample:
    """Return `resample`, on CUDA as one kernel if Triton can compile it there."""
    if device.type != "cuda":
        return resample
    try:
        from imageclf.data.views import resample_kernel

        # Without a C compiler, or with an old driver, it fails here and not in a step.
        place, to_picture = torch.tensor([[0, 1, 1]]), torch.eye(3).view(1, 9)
        table = torch.zeros(1, 256, dtype=torch.uint8, device=device)
        resample_kernel.resample(table[0], place.to(device), to_picture.to(device), table, 1)
    except Exception as error:  # Triton, its compilers and the driver raise anything.
        log.warning(
            "data.device_store: Triton cannot compile its kernel for %s (%s: %s): torch resamples "
            "instead, which takes a few milliseconds more per batch",
            device,
            type(error).__name__,
            str(error).partition("\n")[0],
        )
        return resample
    return resample_kernel.resample


def to_device(arrays: Sequence[NDArray[Any]], device: torch.device) -> list[Tensor]:
    """Copy arrays to a device in one copy, without blocking.

    The arrays with larger elements come first, so that each is aligned.
    """
    parts = [np.ascontiguousarray(array) for array in arrays]
    lengths = [part.nbytes for part in parts]
    # A new tensor for every batch: torch's allocator reuses pinned memory only after the copies from it
    # have finished, so a later batch cannot overwrite one that is still being copied.
    packed = torch.empty(sum(lengths), dtype=torch.uint8, pin_memory=device.type == "cuda")
    # With NumPy: torch would use its thread pool, which takes milliseconds where the cores are busy.
    np.concatenate([part.reshape(-1).view(np.uint8) for part in parts], out=packed.numpy())
    pieces = torch.split(packed.to(device, non_blocking=True), lengths)
    return [
        piece.view(torch.from_numpy(part).dtype).view(part.shape)
        for piece, part in zip(pieces, parts, strict=True)
    ]


def _on_device(pixels: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Copy a mapped file to a device in chunks, so that memory never holds a second copy."""
    try:
        result = torch.empty(len(pixels), dtype=torch.uint8, device=device)
    except torch.OutOfMemoryError:
        raise InputError(
            f"data.device_store: {device} runs out of memory for {written_size(len(pixels))} of pictures: "
            "end other processes that use it, or set data.device_store=off"
        ) from None
    chunk = torch.empty(min(_CHUNK, len(pixels)), dtype=torch.uint8, pin_memory=device.type == "cuda")
    for start in range(0, len(pixels), _CHUNK):
        part = pixels[start : start + _CHUNK]
        chunk.numpy()[: len(part)] = part
        # Blocks, so that the chunk can be filled again.
        result[start : start + len(part)].copy_(chunk[: len(part)])
    return result


def _means(store: Store, augmentation: Augmentation) -> Floats:
    """Return the mean value of each picture `[N]`; zeros where the lighting does not need it."""
    count = len(store.index)
    if augmentation.lighting != "linear" or augmentation.max_lighting == 0:
        return np.zeros(count)
    return np.array([mean_value(store.read(row).pixels) for row in range(count)])


def written_size(num_bytes: int) -> str:
    """Format a number of bytes in GB, or in MB below one GB.

    >>> written_size(6_400_000), written_size(25_200_000_000)
    ('6.4 MB', '25.2 GB')
    """
    return f"{num_bytes / 1e9:.3g} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.3g} MB"
