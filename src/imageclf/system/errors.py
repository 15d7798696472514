"""What ends a run before its end, and what a command then exits with."""

import errno

DONE, MISTAKE, FAILED, PREEMPTED, INTERRUPTED = 0, 1, 2, 75, 130

# The disk is full, the quota is used up, or a file is larger than allowed.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class InputError(ValueError):
    """A mistake in what the user gave; its message is one sentence that names the remedy (exit code 1)."""


class Preempted(BaseException):
    """The run was asked to end before it was done (exit code 75); no job behind it is to start."""


class RankError(RuntimeError):
    """A rank failed; the message holds its traceback."""


class RankKilledError(RankError):
    """A rank was ended by a signal."""
