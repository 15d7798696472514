"""The keys of a data node about how pictures become batches."""

from dataclasses import dataclass
from typing import Literal

from imageclf import InputError
from imageclf.data.device_choice import DeviceStoring
from imageclf.data.geometry import Resize
from imageclf.data.sampler import Oversample


@dataclass(frozen=True)
class Loading:
    """How pictures become batches.

    Args:
        size: pixels a side where a phase names none.
        batch_size: pictures a step and process, where a phase names none.
        num_workers: processes that read training pictures, and as many for evaluation.
        resize: crop, squish or pad (with reflection) to a square; random_resized_crop: a random part
            of each training picture, evaluated as crop.
        oversample: none, repeat or weighted.
        on_error: raise, or skip: what a picture that cannot be read does.
        device_store: on: the shrunk pictures of a size are kept on the device that trains, and their views
            are made there; auto: where that is a GPU with CUDA and they fit; off.
    """

    size: int
    batch_size: int
    num_workers: int
    resize: Resize
    oversample: Oversample
    on_error: Literal["raise", "skip"]
    device_store: DeviceStoring

    def __post_init__(self) -> None:
        """Refuse values outside their range."""
        for name, low in (("size", 1), ("batch_size", 1), ("num_workers", 0)):
            if getattr(self, name) < low:
                raise InputError(f"data.{name}={getattr(self, name)}: give a whole number from {low}")
