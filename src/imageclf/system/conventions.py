"""What people call their folders of splits, and separate the columns of their tables by."""

import csv
from collections.abc import Iterable

TRAIN = ("train", "training")
VALID = ("valid", "val", "validation")
TEST = ("test", "testing")
"""Names of folders that are splits, in any case."""

SEPARATORS = (",", ";", "\t")


def are_splits(names: Iterable[str]) -> bool:
    """Return whether folders are splits by their names: one is for training, and another is held out.

    >>> are_splits(["train", "val"]), are_splits(["train", "car"]), are_splits(["Test", "Train", "cat"])
    (True, False, True)
    """
    seen = {name.casefold() for name in names}
    return bool(seen & {*TRAIN} and seen & {*VALID, *TEST})


def separator_of(header: str) -> str:
    r"""Return whichever of comma, semicolon and tab divides a header best; the comma where none does.

    >>> separator_of("id;label"), separator_of("id"), separator_of('"a,b"\tlabel')
    (';', ',', '\t')
    """
    return max(SEPARATORS, key=lambda separator: len(split_header(header, separator)))


def split_header(header: str, separator: str) -> list[str]:
    """Return the names in a header, without the spaces around them."""
    return [name.strip() for name in next(csv.reader([header], delimiter=separator), [])]
