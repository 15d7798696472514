"""Fine-tune image classifiers the fast.ai way, as one configured, resumable job."""

__version__ = "0.1.0"


class InputError(ValueError):
    """A mistake in what the user gave; its message is one sentence that names the remedy (exit code 1)."""


class Preempted(BaseException):
    """The run was asked to end before it was done (exit code 75); no job behind it is to start."""
