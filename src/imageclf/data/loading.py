"""The keys of a data node about how pictures become batches."""

import os
from dataclasses import dataclass, replace
from typing import Literal

from imageclf import InputError
from imageclf.data.device_choice import DeviceStoring
from imageclf.data.pictures.pixels import Bits
from imageclf.data.sampler import Oversample
from imageclf.data.views.geometry import Resize
from imageclf.schedule.ranges import check_ranges
from imageclf.schedule.size import PictureSize, read_size
from imageclf.system.machine import available_cores, num_workers, sharing_ranks


def auto_batch_size(num_train: int) -> int:
    """Return a power of two from 8 to 64, the largest with which an epoch has at least ten steps.

    >>> [auto_batch_size(number) for number in (48, 200, 300, 640, 23_000)]
    [8, 16, 16, 64, 64]
    """
    return next((size for size in (64, 32, 16) if num_train >= 10 * size), 8)


@dataclass(frozen=True)
class Loading:
    """How pictures become batches.

    Args:
        size: of the pictures where a phase names none.
        batch_size: pictures a step and process, where a phase names none; auto: see `auto_batch_size`.
        global_batch_size: pictures a step of all processes together, in place of `batch_size`; the batch
            sizes of phases are then also of all processes. None: they are of each process.
        num_workers: processes that read training pictures, and as many for evaluation; auto: see
            `imageclf.system.machine.num_workers`.
        resize: crop, squish or pad (with reflection) to that size; random_resized_crop: a random part
            of each training picture, evaluated as crop.
        oversample: none, repeat or weighted.
        on_error: raise, or skip pictures that cannot be read.
        device_store: on: the shrunk pictures of a size are kept on the device that trains, and their views
            are made there; auto: if it is a CUDA GPU and they fit; off.
        channels: of a pixel; auto: see `imageclf.data.pictures.kinds.choose_pixels`.
        bits: of a value; auto: likewise.
    """

    size: PictureSize
    batch_size: int | Literal["auto"]
    num_workers: int | Literal["auto"]
    resize: Resize
    oversample: Oversample
    on_error: Literal["raise", "skip"]
    device_store: DeviceStoring
    # Runs of earlier versions have none of these.
    global_batch_size: int | None = None
    channels: int | Literal["auto"] = "auto"
    bits: Bits | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        read_size(self.size, "data.size")
        check_ranges("data", vars(self))

    @property
    def pictures_a_step(self) -> int:
        """Return the batch size as a number.

        Raises:
            InputError: it is auto: `for_training` has not been called, since the data set is not known yet.
        """
        if self.batch_size == "auto":
            raise InputError("data.batch_size=auto: give a number where several processes share the batches")
        return self.batch_size

    def for_training(self, num_train: int) -> "Loading":
        """Return the same with a number of pictures a step, for so many training pictures."""
        return replace(self, batch_size=auto_batch_size(num_train)) if self.batch_size == "auto" else self

    def workers(self, num_pictures: int, on_gpu: bool, decodes: bool, num_ranks: int | None = None) -> int:
        """Return the data workers of each rank; for auto see `imageclf.system.machine.num_workers`.

        `num_ranks` share the cores of this process; None: as many as the environment says.
        """
        if self.num_workers != "auto":
            return self.num_workers
        ranks = num_ranks or sharing_ranks(os.environ)
        return num_workers(available_cores(), ranks, num_pictures, on_gpu, decodes)
