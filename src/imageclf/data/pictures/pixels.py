"""What the pixels of a run's pictures are: how many channels, how many bits, and their mean and spread."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import Any, Literal

import numpy as np

from imageclf import InputError
from imageclf.system.words import counted

Bits = Literal[8, 16]

MAX_CHANNELS = 64


@dataclass(frozen=True)
class Pixels:
    """What a pixel is, once decoded; the same for all pictures of a run.

    Args:
        channels: values of a pixel; 1: grey, 3: red, green and blue.
        bits: of a value.
        mean: of each channel over the training pictures, 0 to 1; None: what the weights were trained on.
        std: likewise the standard deviation.
    """

    channels: int = 3
    bits: Bits = 8
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    @property
    def is_rgb(self) -> bool:
        """Return whether pictures are the usual ones: RGB of 8 bits."""
        return (self.channels, self.bits) == (3, 8)

    @property
    def takes_jpeg(self) -> bool:
        """Return whether a JPEG holds such a picture; pretrained weights know the mean and spread of such."""
        return self.bits == 8 and self.channels in (1, 3)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the type of a value in memory."""
        return np.dtype(np.uint8 if self.bits == 8 else np.uint16)

    @property
    def top(self) -> int:
        """Return the largest value."""
        return 255 if self.bits == 8 else 65535

    @property
    def white(self) -> float:
        """Return what a brightness is a fraction of: the largest value, or what 16 bits use of it.

        In photos, white lies about four standard deviations above black; with 16 bits it is taken to do so.
        """
        if self.bits == 8 or self.std is None:
            return float(self.top)
        return min(1.0, 4 * sum(self.std) / self.channels) * self.top

    @property
    def num_bytes(self) -> int:
        """Return the bytes of a pixel."""
        return self.channels * self.dtype.itemsize

    @property
    def key(self) -> dict[str, int]:
        """Return what a cached result depends on; nothing for RGB, whose keys are older than this class."""
        return {} if self.is_rgb else {"channels": self.channels, "bits": self.bits}

    def __str__(self) -> str:
        """Return it in words.

        >>> str(Pixels(1, 16))
        '1 channel of 16 bits'
        """
        return f"{counted(self.channels, 'channel')} of {self.bits} bits"

    def unmeasured(self) -> "Pixels":
        """Return the same without mean and spread, as decoding needs it."""
        return replace(self, mean=None, std=None)

    def plain(self) -> dict[str, Any]:
        """Return it as the values of a JSON file."""
        return asdict(self)


RGB = Pixels()


def pixels_from(plain: Mapping[str, Any], source: str) -> Pixels:
    """Return what `Pixels.plain` has written to `source`, which anyone may have changed.

    Raises:
        InputError: the values are none that a run has.
    """
    given: list[Any] = [plain.get(name) for name in ("channels", "bits", "mean", "std")]
    channels, bits, mean, std = given
    is_count = type(channels) is int and 1 <= channels <= MAX_CHANNELS and bits in (8, 16)
    are_numbers = is_count and all(each is None or _are_numbers(each, channels) for each in (mean, std))
    if not are_numbers or (mean is None) != (std is None) or (std is not None and min(std) <= 0):
        raise InputError(f"{source}: channels, bits, mean and std are none that a run has")
    return Pixels(channels, bits, _tuple(mean), _tuple(std))


def _are_numbers(values: Any, count: Any) -> bool:
    are = isinstance(values, Sequence) and not isinstance(values, str) and len(values) == count
    return are and all(type(each) in (int, float) and isfinite(each) for each in values)


def _tuple(values: Sequence[float] | None) -> tuple[float, ...] | None:
    return None if values is None else tuple(map(float, values))
