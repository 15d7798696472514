"""Text for a terminal: names of files, folders and classes may contain control characters."""

import logging
import sys
import unicodedata
from collections.abc import Callable
from typing import TextIO

from rich.console import Console
from rich.text import Text

# Line ends and tabs are how messages are laid out; joiners belong to words and emoji, and move nothing.
_KEPT = frozenset("\n\t\u200c\u200d")
# Control characters, those that turn the direction of writing, and bytes that are no text.
_KINDS = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def printable(text: str) -> str:
    r"""Return a text with control characters written out, so that a terminal shows and does not obey them.

    >>> printable("\x1b]0;title\x07a"), printable("ä\tb\n")
    ('\\x1b]0;title\\x07a', 'ä\tb\n')
    """
    if text.isprintable():
        return text
    return "".join(
        each.encode("unicode_escape", "backslashreplace").decode("ascii")
        if unicodedata.category(each) in _KINDS and each not in _KEPT
        else each
        for each in text
    )


def cell(text: object) -> Text:
    """Return a cell or title of a table for the terminal; rich would take [red] in a str for markup."""
    return Text(printable(str(text)))


def written(value: object, number: Callable[[float], str] = str) -> str:
    """Return a plain value as it stands in a config and is typed on the command line.

    >>> written(None), written(True), written([1e-4, 3])
    ('null', 'true', '[0.0001,3]')
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(written(each, number) for each in value)}]"
    return number(value) if isinstance(value, float) else str(value)


def console(width: int = 100) -> Console:
    """Return a console that prints tables; a file or a pipe gets lines of up to `width` characters.

    Rich would assume 80 there, and cut the tables.
    """
    return Console(width=None if is_terminal(sys.stdout) else width)


def show(text: object) -> None:
    """Print a line: exactly for a script that reads it, printable for a person at a terminal."""
    print(printable(str(text)) if is_terminal(sys.stdout) else text, flush=True)


class PrintableRecord(logging.LogRecord):
    """A message of a log, made printable once for all handlers."""

    def getMessage(self) -> str:  # noqa: N802
        """Return the message with its arguments."""
        return printable(super().getMessage())


def log_printable() -> None:
    """Let all messages of this process be printable."""
    logging.setLogRecordFactory(PrintableRecord)


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether what is written to a stream is seen at once; one that was closed is None."""
    return stream is not None and stream.isatty()
