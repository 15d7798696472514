"""Order, compare and list names of classes and files."""

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
    parts = _DIGITS.split(unicodedata.normalize("NFC", "\0".join(ordered)))
    if _is_numbering(parts):
        return sorted(ordered, key=len)
    parts[1::2] = map(str.zfill, parts[1::2], repeat(max(map(len, parts[1::2]), default=0)))
    keys = dict(zip(ordered, "".join(parts).split("\0"), strict=True))
    return sorted(ordered, key=keys.__getitem__)


def _is_numbering(parts: Sequence[str]) -> bool:
    """Tell whether all names are like img_1.jpg, img_10.jpg: one number in the same text."""
    if set(parts[2:-1:2]) != {f"{parts[-1]}\0{parts[0]}"}:
        return False
    numbers = "\0".join(("", *parts[1::2], ""))
    return numbers.count("\x000") == numbers.count("\x000\0")  # No leading zeros.


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
