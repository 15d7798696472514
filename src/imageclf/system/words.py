"""Words of messages that depend on a number."""

from collections.abc import Sequence


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """Return a number with the noun in the form that it takes; without a `plural`, an "s" is added.

    >>> counted(1, "picture"), counted(2000, "picture")
    ('1 picture', '2,000 pictures')
    """
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def joined(names: Sequence[str]) -> str:
    """Join names as a sentence does.

    >>> joined(["head"]), joined(["head", "augment", "finetune"])
    ('head', 'head, augment and finetune')
    """
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
