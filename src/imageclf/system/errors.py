"""What ends a run early, and the exit codes of the commands."""

import errno
from typing import Literal, NamedTuple

DONE, MISTAKE, FAILED, PREEMPTED, INTERRUPTED = 0, 1, 2, 75, 130

# The disk is full, the quota is used up, or a file is larger than allowed.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class InputError(ValueError):
    """A mistake in what the user gave; its message is one sentence that names the remedy (exit code 1)."""


class RunError(RuntimeError):
    """A run cannot go on, and the cause is known.

    Args:
        sentence: with the remedy; of a job of a sweep, with its name.
        exit_code: of the run as a command by itself.
    """

    def __init__(self, sentence: str, exit_code: int = FAILED) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


class Preempted(BaseException):
    """A signal asked the run to end (exit code 75). Nothing that catches `Exception` may swallow it."""


class Pruned(BaseException):
    """A search ended the run early, which is no failure (exit code 0). It passes as `Preempted` does."""


Status = Literal["input", "failed", "killed", "preempted", "interrupted", "pruned"]


class Failure(NamedTuple):
    """Why a run, a rank or a job of a sweep ended before it was finished.

    Args:
        status: input: a mistake of the user; killed: by a signal, for instance when out of memory;
            interrupted: by Ctrl-C; pruned: by a search, at the end of a cycle.
        exit_code: that the command exits with.
        cause: the message; for an exception its type too.
        traceback: of an exception that nobody expected, else empty.
    """

    status: Status
    exit_code: int
    cause: str
    traceback: str = ""

    @property
    def line(self) -> str:
        """Return the first line of the cause."""
        return self.cause.partition("\n")[0]


class RankError(RuntimeError):
    """A rank failed or was killed.

    Attributes:
        failure: of the rank.
    """

    def __init__(self, rank: int, failure: Failure) -> None:
        if not failure.traceback:
            failure = failure._replace(cause=f"rank {rank} {failure.cause}")
        super().__init__(f"rank {rank} failed:\n{failure.traceback}" if failure.traceback else failure.cause)
        self.failure = failure
