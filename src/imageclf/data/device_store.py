"""The shrunk pictures of one size on the device that trains: their views are made there, without workers."""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imageclf import InputError
from imageclf.data.augmentation import Augmentation, Floats
from imageclf.data.batch import Batch, Request
from imageclf.data.lighting import mean_value
from imageclf.data.resample import resample
from imageclf.data.store import Store, StoredPictures, open_store
from imageclf.data.viewing import Viewing

log = logging.getLogger(__name__)

Resample = Callable[..., Tensor]
"""Takes what `imageclf.data.resample.resample` takes."""

# Bytes that are read before they are copied to the device.
_CHUNK = 1 << 26


class DeviceStore:
    """Answer requests with batches that lie on the device.

    Each rank holds all pictures, for every epoch deals them out anew. A step copies some 300 bytes a
    picture to the device: where it is there, its map and its lighting. It waits for nothing.

    Args:
        stored: a raw store.
        viewing: how views are drawn.
        labels: class indices `[N]`, -1 where unknown.
        device: where the pictures are to lie.

    Attributes:
        pixels: of all pictures, on the device, uint8 `[N]`.
        resample: makes views of them.

    Raises:
        InputError: what is free on the device is too little.
    """

    def __init__(
        self, stored: StoredPictures, viewing: Viewing, labels: NDArray[np.int64], device: torch.device
    ) -> None:
        store = open_store(stored)
        index = np.asarray(store.index)
        # (offset, width, height) of the shrunk pictures, and (width, height) of what they were.
        self._places = index[:, [0, 3, 2]]
        self._shapes = index[:, 4:].astype(np.float64)
        self._means = _means(store, viewing.augmentation)
        self.pixels = _on_device(store.pixels, device)
        self._viewing = viewing
        self._labels = labels
        self.resample = fastest_on(device)

    def render(self, request: Request) -> Batch:
        """Return the batch of a request."""
        rows, labels, *orders = self.send(request)
        images = self.resample(self.pixels, *orders, size=request.size)
        return Batch(images.permute(0, 3, 1, 2), None, labels, rows, request.weight, request.total)

    def send(self, request: Request) -> list[Tensor]:
        """Return rows and labels of a request, then places, maps and tables, on the device."""
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
        return sent(arrays, self.pixels.device)


def fastest_on(device: torch.device) -> Resample:
    """Return `resample`, on CUDA as one kernel if Triton can make it there."""
    if device.type != "cuda":
        return resample
    try:
        from imageclf.data import resample_kernel

        # Whatever is missing, a C compiler say, is missed here and not in a step.
        place, to_picture = torch.tensor([[0, 1, 1]]), torch.eye(3).view(1, 9)
        table = torch.zeros(1, 256, dtype=torch.uint8, device=device)
        resample_kernel.resample(table[0], place.to(device), to_picture.to(device), table, 1)
    except Exception as error:  # Triton, its compilers and the driver raise anything.
        log.warning(
            "data.device_store: Triton made no kernel on %s (%s: %s): torch resamples there, some "
            "milliseconds a batch slower",
            device,
            type(error).__name__,
            str(error).partition("\n")[0],
        )
        return resample
    return resample_kernel.resample


def sent(arrays: Sequence[NDArray[Any]], device: torch.device) -> list[Tensor]:
    """Return arrays as tensors on a device, sent in one copy that nobody waits for.

    Args:
        arrays: those with larger elements first, so that each is aligned.
        device: where to.
    """
    parts = [torch.from_numpy(np.ascontiguousarray(array)) for array in arrays]
    packed = torch.cat([part.flatten().view(torch.uint8) for part in parts])
    if device.type == "cuda":
        # New for every batch: torch hands pinned memory out again only after the copies from it that
        # are under way, so no later batch can overwrite what has not left yet.
        packed = packed.pin_memory()
    pieces = torch.split(packed.to(device, non_blocking=True), [part.nbytes for part in parts])
    return [piece.view(part.dtype).view(part.shape) for piece, part in zip(pieces, parts, strict=True)]


def _on_device(pixels: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Return bytes of a mapped file on a device; of the file, a chunk at a time is in memory."""
    try:
        result = torch.empty(len(pixels), dtype=torch.uint8, device=device)
    except torch.OutOfMemoryError:
        raise InputError(
            f"data.device_store: {written_size(len(pixels))} of pictures find no room on {device} beside "
            "what is there: end what else runs there, or set data.device_store=off"
        ) from None
    chunk = torch.empty(min(_CHUNK, len(pixels)), dtype=torch.uint8, pin_memory=device.type == "cuda")
    for start in range(0, len(pixels), _CHUNK):
        part = pixels[start : start + _CHUNK]
        chunk.numpy()[: len(part)] = part
        # Waits for the copy, and may: this is no step.
        result[start : start + len(part)].copy_(chunk[: len(part)])
    return result


def _means(store: Store, augmentation: Augmentation) -> Floats:
    """Return the mean value of each picture `[N]`; zeros where no lighting asks for it."""
    count = len(store.index)
    if augmentation.lighting != "linear" or augmentation.max_lighting == 0:
        return np.zeros(count)
    return np.array([mean_value(store.read(row).pixels) for row in range(count)])


def written_size(num_bytes: int) -> str:
    """Return a number of bytes as people say it.

    >>> written_size(6_400_000), written_size(25_200_000_000)
    ('6.4 MB', '25.2 GB')
    """
    return f"{num_bytes / 1e9:.3g} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.3g} MB"
