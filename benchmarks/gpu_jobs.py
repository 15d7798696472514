"""What benchmarks/gpu.py is made of: jobs, what they share, and what they say."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

Values = dict[str, Any]
Rows = Iterator[tuple[str, Values]]


class SkippedError(Exception):
    """This machine lacks what the job needs; the message says what."""


@dataclass(frozen=True)
class Setting:
    """What all jobs share.

    Args:
        device: cuda, or cpu to try the script.
        quick: tiny networks and few steps.
        folder: for whatever the jobs write.
    """

    device: Literal["cuda", "cpu"]
    quick: bool
    folder: Path

    @property
    def runs(self) -> Path:
        """Return the folder of the runs, of which none is there at the start."""
        return self.folder / "runs"

    @property
    def stamps(self) -> Path:
        """Return the folder of the demo's pictures, as `train/CLASS` and `test/CLASS`."""
        return self.folder / "stamps"


@dataclass(frozen=True)
class Job:
    """A function that takes the setting and its arguments, and yields rows: a name and figures.

    Args:
        name: as it is reported.
        module: beside this one; only the job's own process imports it.
        function: in the module.
        arguments: after the setting.
        seconds: that it takes on an H100; it is skipped where fewer are left.
    """

    name: str
    module: str
    function: str
    arguments: tuple[Any, ...] = ()
    seconds: float = 10.0


class Event(NamedTuple):
    """What became of a job, or a row of it.

    Args:
        kind: row, failed or skipped.
        name: of the row or the job.
        content: figures of a row; else the reason.
    """

    kind: Literal["row", "failed", "skipped"]
    name: str
    content: Any
