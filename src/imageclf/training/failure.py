"""failed.json: why a run ended before it was finished."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imageclf.configs import exit_code, explain
from imageclf.system.errors import (
    DONE,
    INTERRUPTED,
    MISTAKE,
    PREEMPTED,
    Failure,
    RankError,
    RunError,
    Status,
)
from imageclf.system.files import write_json

FILE = "failed.json"
# Lines of a traceback to keep: the last calls matter, the first ones are always the same.
TAIL = 20
_STATUS: dict[int, Status] = {
    MISTAKE: "input",
    PREEMPTED: "preempted",
    INTERRUPTED: "interrupted",
    DONE: "pruned",
}


def failure_of(error: BaseException) -> Failure:
    """Return how a run ends that raises this error."""
    if isinstance(error, RankError):
        return error.failure
    code = exit_code(error)
    if code in _STATUS or isinstance(error, RunError):
        return Failure(_STATUS.get(code, "failed"), code, explain(error))
    first_line = next((line for line in str(error).splitlines() if line.strip()), "")
    trace = "".join(traceback.format_exception(error))
    return Failure("failed", code, f"{type(error).__name__}: {first_line}", trace)


def write_failure(run_dir: Path, failure: Failure) -> None:
    """Write failed.json into a run directory that is there; Ctrl-C is no failure."""
    if failure.status == "interrupted" or not run_dir.is_dir():
        return
    cause = "\n".join([failure.cause, *failure.traceback.splitlines()[-TAIL:]])
    write_json(run_dir / FILE, {"status": failure.status, "exit_code": failure.exit_code, "cause": cause})


@contextmanager
def record_failure(run_dir: Path) -> Iterator[None]:
    """Remove failed.json, and write it again if the block raises."""
    (run_dir / FILE).unlink(missing_ok=True)
    try:
        yield
    except BaseException as error:
        write_failure(run_dir, failure_of(error))
        raise
