"""How far a long step is: a live line on a terminal or in a notebook, else a log line now and then."""

import logging
import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

from imageclf.system.live_line import LiveLine, NotebookLine, line_on, terminal
from imageclf.system.world import is_first_task

log = logging.getLogger(__name__)

Kind = tuple[str, Any]
"""What a picture goes through, and its size: pictures of one kind take equally long."""

# Seconds: a step that ends within the first shows nothing; then between two updates, and two log lines.
PATIENCE, REFRESH, EVERY = 1.0, 0.2, 30.0


@dataclass(eq=False)
class Step:
    """A long step.

    Args:
        name: what is done.
        total: how much there is to do; None: nobody knows.
        unit: what is counted.
        kind: of its pictures, whose time is to be measured; None: not measured.
        started: by the clock.
        done: so far.
        first: clock and count after the first of it, which warms up and is not measured.
        last: clock after the latest of it.
    """

    name: str
    total: int | None
    unit: str
    kind: Kind | None
    started: float
    done: int = 0
    first: tuple[float, int] | None = None
    last: float = 0.0

    @property
    def measured(self) -> tuple[float, int]:
        """Seconds and count so far, without what warms up."""
        return (0.0, 0) if self.first is None else (self.last - self.first[0], self.done - self.first[1])


@dataclass
class Display:
    """Shows the innermost of the steps that run.

    Args:
        console: the terminal, or the notebook; None: there is none, and lines go to the log.
        clock: returns seconds.
        say: logs a line.
        shows: whether this process shows anything; it measures in any case.
        run_ends: when the run is expected to end, by the clock; None: nobody knows.
    """

    console: Console | None
    clock: Callable[[], float] = time.monotonic
    say: Callable[[str], object] = log.info
    shows: bool = True
    run_ends: float | None = None
    _steps: list[Step] = field(default_factory=list)
    _ended: dict[Kind, tuple[float, int]] = field(default_factory=dict)
    _next: float = math.inf
    _live: LiveLine | NotebookLine | None = None

    @contextmanager
    def track(
        self, name: str, total: int | None, unit: str = "pictures", kind: Kind | None = None
    ) -> Iterator[Callable[[int], None]]:
        """Show a step while the block runs; yield the function that adds what has been done."""
        step = Step(name, total, unit, kind, self.clock())
        if not self._steps:
            self._next = step.started + (EVERY if self.console is None else PATIENCE)
        self._steps.append(step)

        def advance(count: int) -> None:
            """Add to what has been done, and show it if it is time."""
            step.done += count
            step.last = now = self.clock()
            if step.first is None:
                step.first = now, step.done
            if now >= self._next:
                self._show(now)

        try:
            yield advance
        finally:
            self._steps.remove(step)
            _add(self._ended, step)
            if not self._steps:
                self._clear()

    @property
    def measured(self) -> dict[Kind, tuple[float, int]]:
        """Seconds and pictures by kind, so far."""
        measured = dict(self._ended)
        for step in self._steps:
            _add(measured, step)
        return measured

    def forget(self) -> None:
        """Forget what has been measured: another run begins."""
        self._ended.clear()
        self.run_ends = None

    def _show(self, now: float) -> None:
        self._next = now + (EVERY if self.console is None else REFRESH)
        if not self.shows:
            return
        words = step_words(self._steps[-1], now, self.run_ends)
        if self.console is None:
            self.say(words)
            return
        # The terminal may be gone: the run is to go on without it.
        with suppress(OSError):
            self._live = self._live or line_on(self.console)
            self._live.show(words)

    def _clear(self) -> None:
        self._next = math.inf
        if self._live is not None:
            with suppress(OSError):
                self._live.close()
            self._live = None


def _add(measured: dict[Kind, tuple[float, int]], step: Step) -> None:
    seconds, count = step.measured
    if step.kind is not None and count > 0:
        before = measured.get(step.kind, (0.0, 0))
        measured[step.kind] = before[0] + seconds, before[1] + count


def step_words(step: Step, now: float, run_ends: float | None = None) -> str:
    """Return a step as one line.

    >>> step_words(Step("head, 128 px", 600, "pictures", None, 0.0, 200), 10.0, 130.0)
    'head, 128 px: 200 of 600 pictures, 20/s, 20 s left; the run: about 2 min left'
    """
    seconds = now - step.started
    rate = step.done / seconds if seconds > 0 else 0.0
    parts = [f"{step.done:,}{'' if step.total is None else f' of {step.total:,}'} {step.unit}"]
    if rate > 0 and step.unit == "pictures":
        parts.append(f"{rate:,.3g}/s" if rate < 1000 else f"{rate:,.0f}/s")
    left = 0.0
    if rate > 0 and step.total is not None:
        left = max(0, step.total - step.done) / rate
        parts.append(f"{duration(left)} left")
    words = f"{step.name}: {', '.join(parts)}"
    if run_ends is None:
        return words
    # The run was estimated earlier, and does not end before its step.
    return f"{words}; the run: about {duration(max(left, run_ends - now))} left"


def duration(seconds: float) -> str:
    """Return a time in words, of at most two units.

    >>> duration(8.4), duration(119.0), duration(5025.0)
    ('8 s', '2 min', '1 h 24 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def display() -> Display:
    """Return the display of this process; of several ranks only the first shows anything."""
    global _display
    if _display is None:
        _display = Display(terminal(), shows=is_first_task(os.environ))
    return _display


# One for the process: steps lie within each other, in whatever file, and only the innermost is shown.
_display: Display | None = None


def track(
    name: str, total: int | None, unit: str = "pictures", kind: Kind | None = None
) -> AbstractContextManager[Callable[[int], None]]:
    """Show a step of this process, as `Display.track` does."""
    return display().track(name, total, unit, kind)
