"""Decide which views are made on the device that trains: those of pictures that fit into its memory."""

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import groupby
from typing import Literal, NamedTuple

import torch

from imageclf import InputError
from imageclf.data.batch import Batch, Request
from imageclf.data.dataset import PictureDataset
from imageclf.data.device_store import DeviceStore, written_size
from imageclf.data.pictures.pixels import Bits
from imageclf.data.pictures.store import Form
from imageclf.data.views.augmentation import Augmentation
from imageclf.schedule.size import PictureSize

log = logging.getLogger(__name__)

DeviceStoring = Literal["auto", "on", "off"]

SHARE = 0.4
"""Fraction of a device's memory that the pictures of one size may take.

It is a fraction of the whole memory, not of what is free: views from the device and from the CPU differ
slightly, so when a run is resumed the choice must not depend on other processes.
"""


class Obstacle(NamedTuple):
    """Why views cannot be made on a device, as a clause, and what the user can do."""

    reason: str
    remedy: str


def is_asked(how: DeviceStoring, device: torch.device) -> bool:
    """Return whether the user wants views from a device where that is possible."""
    return how == "on" or (how == "auto" and device.type == "cuda")


def obstacle_of(form: Form | None, augmentation: Augmentation, bits: Bits = 8) -> Obstacle | None:
    """Return why views cannot be made on any device, or None; without a form there is no store."""
    if augmentation.extra is not None:
        return Obstacle("transforms.extra changes views on the CPU", "set transforms.extra=null")
    if bits == 16:
        return Obstacle("the pictures have 16 bits", "set data.bits=8")
    if form is None:
        return Obstacle("no shrunk pictures are kept", "set data.cache=raw")
    if form == "jpeg":
        return Obstacle("the shrunk pictures are kept as JPEGs", "set data.cache=raw")
    return None


def likely_form(cache: Literal["auto", "raw", "jpeg", "none"]) -> Form | None:
    """Return the form that `data.cache` gives stores if `data.cache_gb` allows it."""
    forms: dict[str, Form | None] = {"jpeg": "jpeg", "none": None}
    return forms.get(cache, "raw")


def memory_obstacle(num_bytes: int, size: PictureSize, device: torch.device) -> Obstacle | None:
    """Return why the pictures for views of a size are too large for a device, or None."""
    memory = memory_of(device)
    if num_bytes <= SHARE * memory:
        return None
    return Obstacle(
        f"the pictures for {size} px take {written_size(num_bytes)}, more than {SHARE:g} of the "
        f"{written_size(memory)} of {device}",
        "choose a smaller size",
    )


def memory_of(device: torch.device) -> int:
    """Return the bytes of a device's whole memory; for the CPU, of the machine's memory."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    if device.type == "mps":
        return torch.mps.recommended_max_memory()
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


class DeviceStores:
    """Answer requests for sizes whose pictures fit on the device, one size at a time."""

    def __init__(self, dataset: PictureDataset) -> None:
        self._dataset = dataset
        self._device = torch.device("cpu")
        self._sizes: frozenset[PictureSize] = frozenset()
        self._loaded: tuple[PictureSize, DeviceStore] | None = None

    def choose(self, how: DeviceStoring, sizes: Iterable[PictureSize], device: torch.device) -> None:
        """Decide which sizes are answered from a device, and log why others are not.

        Raises:
            InputError: `how` is on, and one of the sizes cannot be answered there.
        """
        self.release()
        self._device = device
        asked = sizes if is_asked(how, device) else ()
        obstacles = {size: self._obstacle(size) for size in asked}
        self._sizes = frozenset(size for size, obstacle in obstacles.items() if obstacle is None)
        for obstacle in dict.fromkeys(each for each in obstacles.values() if each is not None):
            if how == "on":
                raise refused(obstacle)
            log.info("data.device_store=auto: %s: views are made on the CPU", obstacle.reason)

    def serves(self, size: PictureSize) -> bool:
        """Return whether views of a size are made on the device."""
        return size in self._sizes

    def answer(
        self, requests: Iterable[Request], otherwise: Callable[[Iterable[Request]], Iterator[Batch]]
    ) -> Iterator[Batch]:
        """Yield a batch per request, in order; `otherwise` answers those whose size is not on the device."""
        for on_device, group in groupby(requests, lambda request: self.serves(request.size)):
            answers = partial(map, self.render) if on_device else otherwise
            yield from answers(group)

    def render(self, request: Request) -> Batch:
        """Return the batch of a request; the pictures of its size replace those of another."""
        if self._loaded is None or self._loaded[0] != request.size:
            # Released first: both sizes together may not fit.
            self.release()
            self._loaded = request.size, self._load(request.size)
        return self._loaded[1].render(request)

    def release(self) -> None:
        """Free the device's memory; the next request loads what it needs."""
        self._loaded = None

    def _obstacle(self, size: PictureSize) -> Obstacle | None:
        stored = self._dataset.stores.get(size)
        form = None if stored is None else stored.form
        obstacle = obstacle_of(form, self._dataset.viewing.augmentation, self._dataset.pixels.bits)
        if obstacle is not None or stored is None:
            return obstacle
        return memory_obstacle(stored.num_bytes, size, self._device)

    def _load(self, size: PictureSize) -> DeviceStore:
        dataset, stored = self._dataset, self._dataset.stores[size]
        amount = written_size(stored.num_bytes)
        log.info("data.device_store: %s of pictures for %s px on %s", amount, size, self._device)
        return DeviceStore(stored, dataset.viewing, dataset.labels, self._device)


def refused(obstacle: Obstacle) -> InputError:
    """Return the error for `data.device_store=on` where that is impossible."""
    return InputError(
        f"data.device_store=on: {obstacle.reason}: {obstacle.remedy}, or set data.device_store=auto"
    )
