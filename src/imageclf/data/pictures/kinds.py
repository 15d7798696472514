"""What the pixels of a data set's files are, found out by their headers, and their mean and spread."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from imageclf.data.parallel import chunks, mapped, num_processes
from imageclf.data.pictures.arrays import shown
from imageclf.data.pictures.decode import read_header, read_picture
from imageclf.data.pictures.pixels import RGB, Bits, Pixels
from imageclf.data.pictures.planes import native
from imageclf.data.pictures.store import some_of
from imageclf.system.progress import track
from imageclf.system.words import joined

log = logging.getLogger(__name__)

# Files whose headers are read, and training pictures whose mean is taken: these estimate it to a few percent
# of their spread.
_LOOKED_AT = 200
_MEASURED = 1000
_CHUNK = 16


def choose_pixels(
    channels: int | Literal["auto"], bits: Bits | Literal["auto"], paths: Sequence[str]
) -> Pixels:
    """Return the pixels that a data set is decoded to, and log it where they are not RGB of 8 bits.

    auto is 3 channels of 8 bits, grey pictures included, unless this would lose something in every one of the
    files looked at: the low byte of 16 bits, or channels that are pages of a TIFF or in an array.
    """
    if channels != "auto" and bits != "auto":
        return Pixels(channels, bits)
    found = Counter(each for each in map(native_of, some_of(paths, _LOOKED_AT)) if each is not None)
    alike = next(iter(found)) if len(found) == 1 else RGB
    depth = alike.bits if bits == "auto" else bits
    # Grey pictures of 8 bits are read as RGB: pretrained weights are made for three channels.
    is_usual = depth == 8 and alike.channels in (1, 3)
    count = RGB.channels if is_usual else alike.channels
    chosen = Pixels(count if channels == "auto" else channels, depth)
    if len(found) > 1:
        kinds, most = joined([str(each) for each in sorted(found, key=str)]), found.most_common(1)[0][0]
        keys = f"data.channels={most.channels} data.bits={most.bits}"
        remedy = "" if most == chosen else f"; {keys} reads them as most are"
        log.warning("the pictures have %s: all are read as %s%s", kinds, chosen, remedy)
    elif not chosen.is_rgb:
        log.info("the pictures are read as %s (data.channels=%s data.bits=%s)", chosen, channels, bits)
    return chosen


def native_of(path: str | Path) -> Pixels | None:
    """Return the pixels that keep everything which a file has, by its header; None if it is no picture."""
    return read_header(
        path, lambda array: Pixels(array.shape[2], 8 if array.dtype == np.uint8 else 16), native
    )


def read_native(path: str | Path, at_least: int | None = None) -> NDArray[Any]:
    """Return the pixels `[H, W, C]` of a file with all that it has, uint8 or uint16; RGB if that is enough.

    Raises:
        InputError: as `read_picture`.
    """
    return read_picture(path, at_least, native_of(path) or RGB)


def read_shown(path: str | Path, at_least: int | None = None) -> NDArray[np.uint8]:
    """Return a file of any kind as a picture to look at, uint8 `[H, W, 3]`; see `shown`.

    Raises:
        InputError: as `read_picture`.
    """
    return shown(read_native(path, at_least))


def measured(pixels: Pixels, paths: Sequence[str]) -> Pixels:
    """Return pixels with the mean and standard deviation of each channel over up to 1,000 training pictures.

    Those of RGB and grey pictures of 8 bits are left to the pretrained weights.

    Raises:
        InputError: a picture cannot be read.
    """
    if pixels.takes_jpeg or not paths:
        return pixels
    some = some_of(paths, _MEASURED)
    parts = chunks(len(some), _CHUNK)
    moments = partial(_moments, paths=some, pixels=pixels.unmeasured())
    with (
        mapped(moments, parts, num_processes(some)) as done,
        track("Measuring pictures", len(some)) as advance,
    ):
        sums = np.zeros((2, pixels.channels))
        for rows, part in zip(parts, done, strict=True):
            sums += part
            advance(len(rows))
    mean, square = sums / len(some)
    # A channel that is constant is left as it is but for its mean.
    std = np.sqrt(np.maximum(square - mean**2, 1 / pixels.top**2))
    return replace(pixels, mean=tuple(mean.tolist()), std=tuple(std.tolist()))


def _moments(rows: range, paths: Sequence[str], pixels: Pixels) -> NDArray[np.float64]:
    """Return the sums over pictures of the mean value and the mean square of each channel, `[2, C]`."""
    sums = np.zeros((2, pixels.channels))
    for row in rows:
        values = read_picture(paths[row], None, pixels) / np.float64(pixels.top)
        sums += values.mean(axis=(0, 1)), (values**2).mean(axis=(0, 1))
    return sums
