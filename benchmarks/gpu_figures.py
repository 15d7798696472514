"""The figures of benchmarks/gpu.py: printed as they come, kept in a file, and printed again in one line."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gpu_goals import goals
from gpu_jobs import Event

_NAME_WIDTH = 40


class Figures:
    """All that the jobs have said so far.

    Args:
        output: file that holds it as JSON at any time.
        about: what is said of the whole run.
    """

    def __init__(self, output: Path, **about: Any) -> None:
        output.parent.mkdir(parents=True, exist_ok=True)
        self._output = output
        output.with_suffix(".txt").unlink(missing_ok=True)
        self._about = about
        self._parts: dict[str, dict[str, dict[str, Any]]] = {}
        self._part: dict[str, dict[str, Any]] = {}
        self._headings: tuple[str, ...] = ()

    @property
    def num_failed(self) -> int:
        """Return how many jobs have failed."""
        return sum(len(part["failed"]) for part in self._parts.values())

    def begin(self, part: str, seconds: float) -> None:
        """Let what comes next belong to a part; the same part may come again."""
        self._say(f"\n== {part} (after {seconds:.0f} s)")
        self._part = self._parts.setdefault(part, {"rows": {}, "failed": {}, "skipped": {}})
        self._headings = ()

    def add(self, event: Event) -> None:
        """Print an event, and keep it."""
        if event.kind == "row":
            self._part["rows"][event.name] = {name: _rounded(value) for name, value in event.content.items()}
            self._print_row(event.name, event.content)
        else:
            self._part[event.kind][event.name] = event.content
            self._say(f"{event.kind}: {event.name}: {event.content}")
        self._write()

    def conclude(self, seconds: float) -> None:
        """Print what was to be reached, and all figures as one line of JSON."""
        self._about["seconds"] = round(seconds, 1)
        self._say(f"\n== goals (after {seconds:.0f} s)")
        for goal in goals(self._parts):
            word = {True: "reached", False: "MISSED", None: "not measured"}[goal.reached]
            bound = f"{'at most' if goal.is_most else 'at least'} {goal.bound:g}"
            self._say(f"{goal.name:<62}{shown(goal.measured):>10}  {bound:<14}{word}")
        self._say(f"kept in {self._output}; beside it these tables in .txt, what the jobs printed in .log\n")
        self._write()
        print(self._output.read_text(), flush=True)

    def _print_row(self, name: str, figures: dict[str, Any]) -> None:
        headings = tuple(figures)
        widths = [max(len(heading), 8) + 2 for heading in headings]
        if headings != self._headings:
            self._say(_line("", headings, widths))
            self._headings = headings
        self._say(_line(name, [shown(figures[each]) for each in headings], widths))

    def _say(self, text: str) -> None:
        """Print, and keep what was printed: of a long output often only the end can be seen."""
        print(text, flush=True)
        with self._output.with_suffix(".txt").open("a") as file:
            file.write(f"{text}\n")

    def _write(self) -> None:
        reached = {goal.name: goal.reached for goal in goals(self._parts)}
        text = json.dumps({**self._about, "parts": self._parts, "goals": reached})
        part = self._output.with_suffix(".part")
        part.write_text(text)
        part.replace(self._output)


def _line(name: str, cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
    return f"{name:<{_NAME_WIDTH}}" + "".join(padded)


def shown(value: Any) -> str:
    """Return a figure as people read it.

    >>> [shown(each) for each in (3984.2, 0.0123, True, None, "bf16-mixed")]
    ['3984', '0.0123', 'yes', '-', 'bf16-mixed']
    """
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def _rounded(value: Any) -> Any:
    # One line is to hold all of them, and nothing that JSON does not know.
    if isinstance(value, float):
        return float(f"{value:.4g}")
    return value if value is None or isinstance(value, int | str) else str(value)
