"""failed.json: why a run ended before it was finished, so that a table of runs can say it."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from imageclf.configs import exit_code, explain
from imageclf.system.errors import FAILED, MISTAKE, PREEMPTED, RankError, RankKilledError
from imageclf.system.files import write_json

FILE = "failed.json"
# Lines of a traceback that are kept: the last calls say where, the first ones are always the same.
TAIL = 20

Status = Literal["failed", "killed", "preempted", "input"]
STATUS: dict[int, Status] = {MISTAKE: "input", FAILED: "failed", PREEMPTED: "preempted"}


class Failure(NamedTuple):
    """What failed.json holds.

    Args:
        status: input: a mistake of the user; killed: ended by a signal, for instance out of memory.
        exit_code: 1, 2 or 75, as the command exits with.
        cause: one line, and for an exception the end of its traceback.
    """

    status: Status
    exit_code: int
    cause: str

    @property
    def line(self) -> str:
        """Return the cause in one line."""
        return self.cause.partition("\n")[0]


def failure_of(error: BaseException) -> Failure | None:
    """Return what is to be written of an error; None for Ctrl-C, which is no failure."""
    code = exit_code(error)
    if code not in STATUS:
        return None
    if code != FAILED:
        return Failure(STATUS[code], code, explain(error))
    status: Status = "killed" if isinstance(error, RankKilledError) else "failed"
    lines = "".join(traceback.format_exception(error)).splitlines()
    return Failure(status, code, "\n".join([one_line(error), *lines[-TAIL:]]))


def one_line(error: BaseException) -> str:
    """Return type and message; a rank's message ends with that of its own error."""
    said = [line for line in str(error).splitlines() if line.strip()] or [""]
    if isinstance(error, RankError):
        return said[-1]
    return f"{type(error).__name__}: {said[0]}"


def write_failure(run_dir: Path, failure: Failure) -> None:
    """Write failed.json into a run directory."""
    write_json(run_dir / FILE, failure._asdict())


@contextmanager
def noted_failure(run_dir: Path) -> Iterator[None]:
    """Remove failed.json, and write it anew if what follows raises."""
    (run_dir / FILE).unlink(missing_ok=True)
    try:
        yield
    except BaseException as error:
        failure = failure_of(error)
        if failure is not None:
            write_failure(run_dir, failure)
        raise
