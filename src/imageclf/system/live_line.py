"""A line that is replaced in place, at the bottom of a terminal or among the outputs of a notebook."""

import logging
import sys
from functools import lru_cache
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from imageclf.system.printable import cell, is_terminal, printable


class LiveLine:
    """A line at the bottom of the terminal, which messages scroll above."""

    def __init__(self, console: Console) -> None:
        streams = sys.stdout, sys.stderr
        # No thread: data workers are forked from this process.
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=is_terminal(streams[0]),
            redirect_stderr=is_terminal(streams[1]),
        )
        self._live.start()
        # A run that is killed leaves the terminal as it is.
        console.show_cursor()
        # Their messages go through the console, too.
        handlers = [each for each in logging.getLogger().handlers if isinstance(each, logging.StreamHandler)]
        self._undo = [(each, each.stream) for each in handlers if each.stream in streams]
        for handler, stream in self._undo:
            handler.setStream(sys.stdout if stream is streams[0] else sys.stderr)

    def show(self, words: str) -> None:
        """Replace the line."""
        text: Text = cell(words)
        text.no_wrap, text.overflow = True, "ellipsis"
        self._live.update(text, refresh=True)

    def close(self) -> None:
        """Remove the line."""
        for handler, stream in self._undo:
            handler.setStream(stream)
        self._live.stop()


class NotebookLine:
    """A line among the outputs of a notebook's cell, the same for all steps of the cell."""

    def __init__(self) -> None:
        # Where rich has found a notebook, IPython is there; rich itself would need ipywidgets for this.
        from IPython import get_ipython

        shell: Any = get_ipython()
        self._handle = _line_of_cell(shell.execution_count)

    def show(self, words: str) -> None:
        """Replace the line."""
        self._handle.update(_plain(printable(words)), raw=True)

    def close(self) -> None:
        """Empty the line: a notebook cannot remove it."""
        self._handle.update(_plain(""), raw=True)


@lru_cache(maxsize=1)
def _line_of_cell(number: int) -> Any:
    from IPython.display import display

    show: Any = display
    return show(_plain(""), raw=True, display_id=True)


def _plain(text: str) -> dict[str, str]:
    return {"text/plain": text}


def line_on(console: Console) -> LiveLine | NotebookLine:
    """Return a line on a terminal or in a notebook, which may be replaced until it is closed."""
    return NotebookLine() if console.is_jupyter else LiveLine(console)


def terminal() -> Console | None:
    """Return the terminal that stdout or, in a pipe, stderr goes to, or the notebook; None where is none."""
    for stream in (sys.stdout, sys.stderr):
        if is_terminal(stream):
            console = Console(file=stream)
            return None if console.is_dumb_terminal else console
    console = Console()
    return console if console.is_jupyter else None
