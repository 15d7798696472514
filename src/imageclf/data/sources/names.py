"""Order, compare and list names of classes and files."""

import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import repeat

_DIGITS = re.compile("([0-9]+)")


def natural_sorted(names: Iterable[str]) -> list[str]:
    """Sort names with the numbers in them compared as numbers: class2 before class10.

    Text compares by code point, as `sorted` does, so that class numbers agree with fast.ai's and
    torchvision's wherever no numbers are involved; names are compared in Unicode form NFC.
    """
    ordered = sorted(names)
    if len(ordered) < 2:
        return ordered
    # One pass over one text: a key built name by name would take longer than listing the folder.
    text = "\0".join(ordered)
    if _is_numbering(ordered, text):
        return sorted(ordered, key=len)
    parts = _DIGITS.split(unicodedata.normalize("NFC", text))
    parts[1::2] = map(str.zfill, parts[1::2], repeat(max(map(len, parts[1::2]), default=0)))
    keys = dict(zip(ordered, "".join(parts).split("\0"), strict=True))
    return sorted(ordered, key=keys.__getitem__)


def _is_numbering(ordered: Sequence[str], text: str) -> bool:
    """Tell whether all names are like img_1.jpg, img_10.jpg: one number in the same text."""
    # What the first and the last share, all between them do.
    prefix = os.path.commonprefix([ordered[0], ordered[-1]]).rstrip("0123456789")  # noqa: RUF071
    suffix = ordered[0][len(prefix) :].lstrip("0123456789")
    numbers = f"{text}\0{prefix}"[len(prefix) :].split(f"{suffix}\0{prefix}")
    digits = "".join(numbers)
    if len(numbers) != len(ordered) + 1 or not (digits.isascii() and digits.isdigit()):
        return False
    listed = "\0".join(("", *numbers))
    # Leading zeros only where they make all numbers of one length.
    return listed.count("\x000") == listed.count("\x000\0") or len(set(map(len, numbers[:-1]))) == 1


def name_clashes(names: Iterable[str], *, ignore_case: bool) -> list[tuple[str, ...]]:
    """Find names that look alike: equal but for Unicode form, outer spaces and, if asked, case."""
    alike: dict[str, list[str]] = {}
    for name in natural_sorted(set(names)):
        shape = unicodedata.normalize("NFC", name).strip()
        alike.setdefault(shape.casefold() if ignore_case else shape, []).append(name)
    return [tuple(group) for group in alike.values() if len(group) > 1]


def listing(items: Sequence[object], limit: int = 10) -> str:
    """Write items for a message, text in quotes: at most `limit`, then "and N more"."""
    shown = ", ".join(repr(item) if isinstance(item, str) else str(item) for item in items[:limit])
    return f"{shown} and {len(items) - limit} more" if len(items) > limit else shown
