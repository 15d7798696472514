"""Words of messages: a number with its noun, a score, a list, the reason that an error gives."""

from collections.abc import Sequence


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """Return a number with the noun in the form that it takes; without a `plural`, an "s" is added.

    >>> counted(1, "picture"), counted(2000, "picture")
    ('1 picture', '2,000 pictures')
    """
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def score_digits(value: float) -> str:
    """Return a score with four decimals; a large or tiny one with four significant digits, none cut off.

    >>> score_digits(0.81), score_digits(12345.678), score_digits(1.093e-06)
    ('0.8100', '12346', '1.093e-06')
    """
    if value == 0 or 1e-3 <= abs(value) < 10:
        return f"{value:.4f}"
    # Whole, where #.4g would leave a point at the end.
    return f"{value:.0f}" if abs(value) >= 999.5 else f"{value:#.4g}"


def joined(names: Sequence[str], most: int | None = None) -> str:
    """Join names as a sentence does; of more than `most` the rest is counted.

    >>> joined(["head"]), joined(["head", "augment", "finetune"])
    ('head', 'head, augment and finetune')
    >>> joined(["cat", "dog", "emu", "fox"], most=2)
    'cat, dog and 2 more'
    """
    if most is not None and len(names) > most:
        names = [*names[:most], f"{len(names) - most:,} more"]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def listed(items: Sequence[object], limit: int = 10) -> str:
    """List items in a message, text in quotes: at most `limit`, then "and N more"."""
    shown = ", ".join(repr(item) if isinstance(item, str) else str(item) for item in items[:limit])
    return f"{shown} and {len(items) - limit} more" if len(items) > limit else shown


def first_line(error: BaseException) -> str:
    r"""Return the first line of an error's message that is not blank, or its type if it has none.

    >>> first_line(ValueError("\nline 1:\n  odd")), first_line(RecursionError())
    ('line 1:', 'RecursionError')
    """
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)


def typed_line(error: BaseException) -> str:
    r"""Return the type of an error and the first line of its message; the type alone if it has none.

    >>> typed_line(OSError("no\nwhy")), typed_line(RecursionError())
    ('OSError: no', 'RecursionError')
    """
    # Both are the type where there is no message.
    return ": ".join(dict.fromkeys([type(error).__name__, first_line(error)]))


def reason_of(error: BaseException) -> str:
    r"""Return the message of an error as one line of at most 200 characters; its type if it has none.

    >>> reason_of(ValueError("line 1:\n  odd")), reason_of(RecursionError())
    ('line 1: odd', 'RecursionError')
    """
    return " ".join(str(error).split())[:200] or type(error).__name__
