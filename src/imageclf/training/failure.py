"""failed.json: why a run ended before it was finished."""

import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imageclf.configs import exit_code, explain, read_object
from imageclf.system.errors import DONE, INTERRUPTED, MISTAKE, PREEMPTED, Failure, RankError, RunError, Status
from imageclf.system.files import write_json
from imageclf.system.words import typed_line

FILE = "failed.json"
_LOST = "another rank was killed or failed; was it out of memory? See what each rank has printed"
# Lines of a traceback to keep: the last calls matter, the first ones are always the same.
TAIL = 20
# What gloo, NCCL and the store say of a connection whose other end is gone.
_GONE = re.compile(r"(reset|closed) by peer|remote process exit|communicator was aborted", re.IGNORECASE)
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
    trace = "".join(traceback.format_exception(error))
    if lost_a_rank(error):
        return Failure("killed", code, _LOST, trace)
    return Failure("failed", code, typed_line(error), trace)


def write_failure(run_dir: Path, failure: Failure) -> None:
    """Write failed.json into a run directory that is there; Ctrl-C is no failure."""
    if failure.status == "interrupted" or not run_dir.is_dir():
        return
    cause = "\n".join([failure.cause, *failure.traceback.splitlines()[-TAIL:]])
    write_json(run_dir / FILE, {"status": failure.status, "exit_code": failure.exit_code, "cause": cause})


@contextmanager
def record_failure(run_dir: Path, is_first: bool = True) -> Iterator[None]:
    """Remove failed.json, and write it again if the block raises.

    Ranks other than the first remove nothing, and write what the first one cannot if it is killed.

    Raises:
        RunError: instead of Preempted, if another rank has failed by then.
    """
    if is_first:
        (run_dir / FILE).unlink(missing_ok=True)
    try:
        yield
    except BaseException as error:
        failure = failure_of(error)
        if is_first or failure.status != "preempted":
            # What another rank has written by now is the cause, and the end of this one follows from it.
            follows = failure.status in ("killed", "preempted") and (run_dir / FILE).exists()
            if not follows:
                write_failure(run_dir, failure)
            elif failure.status == "preempted":
                _raise_cause(run_dir, error)
        raise


def _raise_cause(run_dir: Path, error: BaseException) -> None:
    """Raise what another rank has failed with: a launcher then sends SIGTERM to this one.

    As preempted, the job would be requeued, to fail again. A rank that lost another one is no cause.
    """
    found = read_object(run_dir / FILE)
    if found.get("status") in ("input", "failed"):
        # Its traceback, which follows, is in the file.
        line = str(found.get("cause")).partition("\n")[0]
        raise RunError(f"another rank has failed: {line}", int(found["exit_code"])) from error


def lost_a_rank(error: BaseException) -> bool:
    """Return whether a rank failed because another one had ended: gloo and NCCL notice by its connections.

    >>> lost_a_rank(RuntimeError("[...] Connection closed by peer [127.0.0.1]:4711"))
    True
    >>> lost_a_rank(RuntimeError("NCCL error: invalid usage. Duplicate GPU detected"))
    False
    """
    return isinstance(error, RuntimeError) and _GONE.search(str(error)) is not None
