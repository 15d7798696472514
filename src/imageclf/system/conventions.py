"""What people call their folders of splits and separate columns by, and what our own folders hold."""

import csv
from collections.abc import Collection, Iterable

TRAIN = ("train", "training")
VALID = ("valid", "val", "validation")
TEST = ("test", "testing")
"""Names of folders that are splits, in any case."""

SUBMISSION = "submission"
"""In the name of a competition's sample: it lists the test pictures, with labels that are made up."""

CACHE_TAG = "CACHEDIR.TAG"
"""The file that marks a folder as a cache (https://bford.info/cachedir/); backups leave it out, too."""

_RECORD = ".hydra"
_WRITTEN = {"config.yaml", "train.log", "plan.log", "lr_find.log", "batch_size.log", "analyse.log"}

SEPARATORS = (",", ";", "\t")


def are_splits(names: Iterable[str]) -> bool:
    """Return whether folders are splits by their names: one is for training, and another is held out.

    >>> are_splits(["train", "val"]), are_splits(["train", "car"]), are_splits(["Test", "Train", "cat"])
    (True, False, True)
    """
    seen = {name.casefold() for name in names}
    return bool(seen & {*TRAIN} and seen & {*VALID, *TEST})


def is_output(names: Collection[str]) -> bool:
    """Return whether a folder holds a run or a cache, by the names of all that lies in it: it is no data.

    Hydra's record beside data does not tell: a program that draws data sets may leave it, too. The record
    alone is that of a command that has just begun, or was refused.

    >>> [is_output(names) for names in ([".hydra", "train.log", "plan.png"], [".hydra"], [".hydra", "1.png"])]
    [True, True, False]
    """
    is_begun = {*names} == {_RECORD}
    return CACHE_TAG in names or is_begun or (_RECORD in names and not _WRITTEN.isdisjoint(names))


def encoding_fault(content: bytes) -> str | None:
    """Return where a file is not text in UTF-8 and what to do about it; None if it is.

    >>> encoding_fault("id;Größe".encode("latin-1"))
    'is not UTF-8 at byte 5 (line 1); save it as UTF-8 (in Excel: Save as, CSV UTF-8)'
    """
    try:
        content.decode()
        # UTF-16 of plain English is valid UTF-8, but for its zeros.
        position = content.find(b"\0")
    except UnicodeDecodeError as error:
        position = error.start
    if position < 0:
        return None
    line = content.count(b"\n", 0, position) + 1
    return f"is not UTF-8 at byte {position} (line {line}); save it as UTF-8 (in Excel: Save as, CSV UTF-8)"


def separator_of(header: str) -> str:
    r"""Return whichever of comma, semicolon and tab divides a header best; the comma where none does.

    >>> separator_of("id;label"), separator_of("id"), separator_of('"a,b"\tlabel')
    (';', ',', '\t')
    """
    return max(SEPARATORS, key=lambda separator: len(split_header(header, separator)))


def split_header(header: str, separator: str) -> list[str]:
    """Return the names in a header, without the spaces around them."""
    return [name.strip() for name in next(csv.reader([header], delimiter=separator), [])]
