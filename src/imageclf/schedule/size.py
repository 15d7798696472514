"""The size of pictures: pixels a side of a square, or height and width."""

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from imageclf import InputError

LARGEST = 8192
"""Pixels a side; a picture of that size has a gigabyte as floats."""

_WRITTEN = re.compile(r"(\d{1,4})x(\d{1,4})")


class Oblong(NamedTuple):
    """A size that is not square, in pixels; it is written as 128x256, height first."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"


PictureSize = int | Oblong
"""Pixels a side of a square, or what is not square: `read_size` makes it of all that may be typed."""


def read_size(value: Any, key: str) -> PictureSize:
    """Return the size that is typed under a key as a number, as [height, width] or as HEIGHTxWIDTH.

    Raises:
        InputError: it is none of these, or a side is not from 1 to `LARGEST`.

    >>> read_size([128, 256], "data.size"), read_size("64x64", "data.size")
    (Oblong(height=128, width=256), 64)
    """
    sides = _sides(value)
    if len(sides) != 2 or not all(_is_side(each) for each in sides):
        text = str(value)[:100]
        raise InputError(
            f"{key}={text}: give a whole number from 1 to {LARGEST}, pixels a side, or height and width as "
            "[128, 256] or 128x256"
        )
    return of_edges(sides)


def read_sizes(value: Any, key: str) -> PictureSize | list[PictureSize] | None:
    """Return the size of a phase, or a list of those of its cycles, each typed as `read_size` takes it.

    Raises:
        InputError: as `read_size`.

    >>> read_sizes(["64x128", 96], "size"), read_sizes(None, "size")
    ([Oblong(height=64, width=128), 96], None)
    """
    if isinstance(value, list):
        return [read_size(each, key) for each in value]
    return None if value is None else read_size(value, key)


def edges(size: PictureSize) -> Oblong:
    """Return height and width.

    >>> height, width = edges(128)
    >>> height, width
    (128, 128)
    """
    return Oblong(size, size) if isinstance(size, int) else size


def of_edges(height_width: Iterable[int]) -> PictureSize:
    """Return the size of a height and a width.

    >>> of_edges((64, 64)), of_edges((64, 128))
    (64, Oblong(height=64, width=128))
    """
    height, width = height_width
    return height if height == width else Oblong(height, width)


def num_pixels(size: PictureSize) -> int:
    """Return the pixels of a picture.

    >>> num_pixels(128), num_pixels(Oblong(128, 256))
    (16384, 32768)
    """
    height, width = edges(size)
    return height * width


def by_pixels(sizes: Collection[PictureSize]) -> list[PictureSize]:
    """Return sizes from the one with the fewest pixels to that with the most.

    >>> by_pixels({128, 96, Oblong(64, 128)})
    [Oblong(height=64, width=128), 96, 128]
    """
    return sorted(sizes, key=lambda size: (num_pixels(size), edges(size)))


def plain(size: PictureSize) -> int | str:
    """Return a size as a table or a JSON file has it: a number, or as it is written.

    >>> plain(128), plain(Oblong(128, 256))
    (128, '128x256')
    """
    return size if isinstance(size, int) else str(size)


def _sides(value: Any) -> list[Any]:
    if isinstance(value, str):
        found = _WRITTEN.fullmatch(value)
        return [] if found is None else [int(side) for side in found.groups()]
    return list(value) if isinstance(value, Sequence) else [value, value]


def _is_side(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST
