"""The sentence about a key that does not exist, with the nearest one that does."""

import difflib

from imageclf import InputError


def unknown_key(key: str, legal: list[str]) -> InputError:
    """Return the error for a key that does not exist, naming the nearest one that does."""
    parent, _, name = key.rpartition(".")
    siblings = sorted(each.rpartition(".")[2] for each in legal if each.rpartition(".")[0] == parent)
    siblings = [each for each in siblings if not each.startswith("_")]
    near = [f"{parent}.{each}".lstrip(".") for each in difflib.get_close_matches(name, siblings, n=1)]
    # A key may be right but for the node that it was put into.
    near += sorted(
        (each for each in legal if each.rpartition(".")[2] == name), key=lambda each: each.count(".")
    )
    place = parent or "the top level"
    hint = f"did you mean {near[0]}?" if near else f"{place} takes {', '.join(siblings) or 'no keys'}"
    return InputError(f"{key}: there is no such key; {hint}")
