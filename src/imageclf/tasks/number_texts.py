"""Numbers of a picture as one text, and how even parts of pictures are made by them."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imageclf import InputError

JOIN = "|"
"""Between the numbers of a picture, in split.csv and predictions/*.csv."""

# The sum of a few squares of larger numbers would overflow float32.
_LIMIT = 1e18

# Parts of equal size by which pictures are dealt out, and pictures that each part has at least.
_PARTS, _FEWEST = 10, 5


def text_of(numbers: Mapping[str, str]) -> str:
    """Return the numbers of a picture, written as in its CSV, with their names.

    >>> text_of({"age": "41", "height": "1.80"})
    'age=41|height=1.80'
    """
    return JOIN.join(f"{name}={number}" for name, number in numbers.items())


def numbers_in(text: str) -> dict[str, str]:
    """Return what `text_of` was given; nothing of a blank text.

    >>> numbers_in("age=41|height=1.80")
    {'age': '41', 'height': '1.80'}
    """
    parts = (part.rpartition("=") for part in text.split(JOIN) if part)
    return {name: number for name, _, number in parts}


def written(numbers: Iterable[float]) -> str:
    """Return the numbers of a picture as predictions/*.csv writes them, without their names.

    >>> written([41.25, 1.8])
    '41.25|1.8'
    """
    return JOIN.join(f"{number:.9g}" for number in numbers)


def check_columns(columns: pd.DataFrame) -> None:
    """Refuse columns of text, with the rows of their CSV as index, that are not numbers throughout.

    Raises:
        InputError: a cell is no number below 1e18 in size, or a heading is blank, repeated or has a `|`.
    """
    names = [str(name) for name in columns.columns]
    odd = next((name for name in names if not name.strip() or JOIN in name or names.count(name) > 1), None)
    if odd is not None:
        raise InputError(
            f"data.label_column={odd!r}: with task=regression each column needs a heading of its own, "
            f"without {JOIN!r}"
        )
    for name, cells in columns.items():
        wrong = [not _is_number(cell) for cell in cells]
        if any(wrong):
            row = columns.index[wrong.index(True)]
            raise InputError(
                f"data.label_column={name}: row {row} holds {cells[row]!r}, and {sum(wrong)} of {len(wrong)} "
                "rows hold no number; task=regression needs one in each row, such as 1.5 or -2e3, of less "
                "than 1e18 in size"
            )


def equal_parts(values: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return which part of the pictures each belongs to `[N]`, lowest numbers first.

    There are ten parts of the same size, or fewer such that each has five pictures. Equal numbers are in one
    part, so that grades from 1 to 5 are five parts.

    >>> equal_parts(np.array([3.0, 1.0, 2.0, 9.0, 9.0, 0.0, 7.0, 8.0, 6.0, 5.0])).tolist()
    [0, 0, 0, 1, 1, 0, 1, 1, 1, 0]
    """
    parts = int(np.clip(len(values) // _FEWEST, 1, _PARTS))
    lowest_rank = pd.Series(values).rank(method="min").to_numpy() - 1
    return np.asarray(lowest_rank * parts // max(len(values), 1), dtype=np.int64)


def ranges(values: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return in which tenth of the range from the lowest to the highest number each is, `[N]`.

    >>> ranges(np.array([0.0, 1.0, 9.5, 10.0])).tolist()
    [0, 1, 9, 9]
    """
    low, high = values.min(initial=np.inf), values.max(initial=-np.inf)
    if not low < high:
        return np.zeros(len(values), dtype=np.int64)
    return np.asarray(np.minimum((values - low) / (high - low) * _PARTS, _PARTS - 1), dtype=np.int64)


def one_of_each(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.float32]:
    """Return several numberings of pictures as columns of 0 and 1, one for each number of each, `[N, P]`."""
    return np.concatenate([np.eye(each.max(initial=0) + 1, dtype=np.float32)[each] for each in parts], axis=1)


def _is_number(cell: str) -> bool:
    try:
        return abs(float(cell)) < _LIMIT and "_" not in cell
    except ValueError:
        return False
