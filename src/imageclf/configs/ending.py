"""How a command ends: every outcome is one sentence and an exit code."""

import functools
import os
import re
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, ParamSpec, TypeVar

from hydra.errors import HydraException
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from imageclf import InputError, Preempted
from imageclf.configs.keys import unknown_key
from imageclf.system.errors import (
    DONE,
    FAILED,
    INTERRUPTED,
    MISTAKE,
    NO_ROOM,
    PREEMPTED,
    Pruned,
    RankError,
    RunError,
)
from imageclf.system.printable import printable
from imageclf.system.secrets import hidden

# What Hydra says of a word without an equals sign.
_NO_PAIR = re.compile(r"Error parsing override '(.*)'\s+missing EQUAL at '<EOF>'")
# What it says of a group's option that no file has.
_NO_OPTION = re.compile(r"In '.*': Could not find '(.*)/(.*)'\s+Available options.*:\n((?:\t.*\n)+)")
# OmegaConf puts this around the message of what looks up a value.
_RESOLVING = re.compile(r"^InputError raised while resolving interpolation: ")

P = ParamSpec("P")
T = TypeVar("T")


# Of the jobs of this process.
_failures: list[Exception] = []


def record(error: Exception) -> None:
    """Remember a job's failure: it counts for the exit code, and is reported at the end."""
    _failures.append(error)


def recorded(job: Callable[P, T]) -> Callable[P, T]:
    """Record a job's failures: Hydra passes on only the first one of a multirun.

    Source: https://github.com/facebookresearch/hydra/issues/2284
    """

    @functools.wraps(job)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        """Call the job."""
        try:
            return job(*args, **kwargs)
        except Exception as error:
            record(error)
            raise

    return run


def print_error(sentence: str) -> None:
    """Print a sentence about what went wrong."""
    _print(f"imageclf: {sentence}\n")


def _print(text: str) -> None:
    # The terminal may be gone.
    with suppress(OSError):
        print(printable(hidden(text, sys.argv)), end="", file=sys.stderr, flush=True)


def leave(code: int) -> NoReturn:
    """Exit with a code, also where nobody reads the output any more: Python would exit with 120."""
    # A closed one is None.
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


def interruption(error: BaseException) -> KeyboardInterrupt | None:
    """Return the Ctrl-C that an error stands for, or None."""
    # Lightning turns Ctrl-C inside a fit into sys.exit(1):
    # https://github.com/Lightning-AI/pytorch-lightning/pull/19976
    cause = error.__context__ if isinstance(error, SystemExit) else error
    return cause if isinstance(cause, KeyboardInterrupt) else None


def exit_code(error: BaseException) -> int:
    """Return the exit code that an error of a job leads to."""
    if isinstance(error, RunError):
        return error.exit_code
    if isinstance(error, InputError | HydraException | OmegaConfBaseException):
        return MISTAKE
    if isinstance(error, Preempted):
        return PREEMPTED
    if isinstance(error, Pruned):
        return DONE
    return FAILED if interruption(error) is None else INTERRUPTED


def report_all(error: Exception | None = None) -> int:
    """Print the failures of all jobs, or else the error that came from outside; return the highest code."""
    return max(map(_report, _failures or ([] if error is None else [error])), default=DONE)


def _report(error: Exception) -> int:
    """Print an error, a mistake in the input as one sentence, and return its exit code."""
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        print_error(no_room(error))
        return FAILED
    # Outside a job Hydra composes and makes directories: a failure there is a mistake in its input.
    outside = isinstance(error, OSError | ValueError) and error not in _failures
    code = MISTAKE if outside else exit_code(error)
    # Hydra's error about an option that is missing is an OSError, too.
    if outside and isinstance(error, OSError) and not isinstance(error, HydraException):
        print_error(_no_folder(error))
    # A sweep's job has printed its traceback in its own process; a rank that was killed has none.
    elif (
        code == MISTAKE
        or isinstance(error, RunError)
        or (isinstance(error, RankError) and not error.failure.traceback)
    ):
        print_error(explain(error))
    else:
        _print("".join(traceback.format_exception(error)))
    return code


def _no_folder(error: OSError) -> str:
    """Return the sentence about a folder that Hydra could not make."""
    return (
        f"{Path(error.filename or '.').absolute()} cannot be made or written ({error.strerror}): give "
        "hydra.run.dir=FOLDER, or hydra.sweep.dir=FOLDER with -m, or start the command in another folder"
    )


def no_room(error: OSError) -> str:
    """Return the sentence about a full disk."""
    return (
        f"there is no room for {error.filename or 'a file'} ({error.strerror}): free some, then go on with "
        "hydra.run.dir=RUN ckpt_path=auto; earlier checkpoints are intact"
    )


def explain(error: BaseException) -> str:
    """Return an error's message as one sentence, without Hydra's advice to append an unknown key."""
    ctrl_c = interruption(error)
    if ctrl_c is not None:
        return str(ctrl_c) or "interrupted"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, InputError | RunError):
            return str(cause)
        if isinstance(cause, ConfigAttributeError | ConfigKeyError):
            key = str(cause.full_key)
            siblings = [key.rpartition(".")[0] + f".{name}" for name in cause.parent_node or ()]
            return str(unknown_key(key, siblings))
        cause = cause.__cause__
    if word := _NO_PAIR.match(str(error)):
        return f"{word[1]} is not KEY=VALUE; a value with spaces needs quotes, such as 'data=my photos'"
    if words := _NO_OPTION.match(str(error)):
        group, option, options = words.groups()
        return f"{group}={option}: there is no such option; give one of {', '.join(options.split())}"
    text = _RESOLVING.sub("", str(error)).partition("Config search path")[0].partition("\n    full_key:")[0]
    return " ".join(line.strip() for line in text.splitlines() if line.strip())
