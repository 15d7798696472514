"""Order, compare and list names of classes and files."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

_DIGITS = re.compile("[0-9]+")


def natural_sorted(names: Iterable[str]) -> list[str]:
    """Sort names with the numbers in them compared as numbers: class2 before class10.

    Text compares by code point, as `sorted` does, so that class numbers agree with fast.ai's and
    torchvision's wherever no numbers are involved; names are compared in Unicode form NFC.
    """
    ordered = sorted(names)
    normal = {name: unicodedata.normalize("NFC", name) for name in ordered}
    width = max(map(len, _DIGITS.findall("\n".join(normal.values()))), default=0)
    return sorted(ordered, key=lambda name: _DIGITS.sub(lambda run: run[0].zfill(width), normal[name]))


def name_clashes(names: Iterable[str], *, ignore_case: bool) -> list[tuple[str, ...]]:
    """Find names that look alike: equal but for Unicode form, outer spaces and, on request, case."""
    alike: dict[str, list[str]] = {}
    for name in natural_sorted(set(names)):
        shape = unicodedata.normalize("NFC", name).strip()
        alike.setdefault(shape.casefold() if ignore_case else shape, []).append(name)
    return [tuple(group) for group in alike.values() if len(group) > 1]


def slips(counts: Mapping[str, int], most: int = 10) -> dict[str, str]:
    """Return names that occur once, each with the similar one that occurs more often and may be meant.

    None of names with a number in them, nor where more than `most` occur once, as in a set of individuals.

    >>> slips({"persian": 20, "persain": 1, "siamese": 9, "siamese2": 1})
    {'persain': 'persian'}
    """
    single = [name for name, count in counts.items() if count == 1]
    if len(single) > most:
        return {}
    others = [name for name, count in counts.items() if count > 1]
    near = {name: get_close_matches(name, others, 1, 0.85) for name in single if not _DIGITS.search(name)}
    return {name: found[0] for name, found in near.items() if found}
