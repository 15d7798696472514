"""Run a Hydra main, and turn whatever happens into one sentence and an exit code."""

import functools
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn, ParamSpec, TypeVar

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from imageclf import InputError, Preempted
from imageclf.configs.keys import unknown_key
from imageclf.configs.paths import CONF_DIR
from imageclf.system.errors import DONE, FAILED, INTERRUPTED, MISTAKE, NO_ROOM, PREEMPTED
from imageclf.system.printable import log_printable, printable

P = ParamSpec("P")
T = TypeVar("T")


class JobError(RuntimeError):
    """A job of a sweep did not end well in its own process.

    Args:
        sentence: names the job and the cause.
        code: what the job would have exited with by itself.
    """

    def __init__(self, sentence: str, code: int) -> None:
        super().__init__(sentence)
        self.code = code


_failures: list[Exception] = []


def record(error: Exception) -> None:
    """Remember a job's failure: it counts for the exit code, and is said at the end."""
    _failures.append(error)


def recorded(job: Callable[P, T]) -> Callable[P, T]:
    """Let a job remember how it failed: of a multirun's failures Hydra passes on only the first."""

    @functools.wraps(job)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        """Call the job."""
        try:
            return job(*args, **kwargs)
        except Exception as error:
            record(error)
            raise

    return run


def command(
    config_name: str, arguments: Callable[[list[str]], list[str]] = list
) -> Callable[[Callable[[DictConfig, Path], object]], Callable[[], NoReturn]]:
    """Make a console command of a function that takes the composed config and Hydra's output directory.

    Args:
        config_name: the command's YAML below conf/.
        arguments: rewrites the command line before Hydra reads it.
    """
    folder, _, name = f"{CONF_DIR}/{config_name}".rpartition("/")

    def decorate(body: Callable[[DictConfig, Path], object]) -> Callable[[], NoReturn]:
        @hydra.main(config_path=folder, config_name=name, version_base="1.3")
        @recorded
        @functools.wraps(body)
        def job(cfg: DictConfig) -> object:
            return body(cfg, Path(HydraConfig.get().runtime.output_dir))

        def compose_and_call() -> None:
            sys.argv[1:] = arguments(sys.argv[1:])
            job()

        return functools.wraps(body)(functools.partial(run_main, compose_and_call))

    return decorate


def run_main(main: Callable[[], object]) -> NoReturn:
    """Call a Hydra main and exit: 0 done, 1 input mistaken, 2 failed, 75 preempted, 130 interrupted.

    The codes are made here, outside hydra.main: an exit inside a job would end a whole sweep. A
    multirun exits with the highest code among its jobs.

    Args:
        main: decorated with hydra.main.
    """
    # Hydra would print its own shortened traceback and exit with 1, whatever happened.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    _answer_ctrl_c()
    log_printable()
    try:
        _call(main)
    except KeyboardInterrupt:
        _exit_interrupted()
    except Preempted as error:
        _say(str(error))
        sys.exit(PREEMPTED)
    except SystemExit as leaving:
        if _is_interruption(leaving):
            _exit_interrupted()
        raise
    except Exception as error:
        sys.exit(max(_report(each) for each in _failures or [error]))
    # A search goes on over failed trials, and keeps them to itself.
    sys.exit(max(map(_report, _failures), default=DONE))


def _answer_ctrl_c() -> None:
    """Let `kill -INT` end a command also where a script's shell has started it with &: ignoring that."""
    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    ):
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _call(main: Callable[[], object]) -> None:
    """Call a Hydra main, again with a + before each key that the YAML leaves out: `check` judges it."""
    while True:
        try:
            main()
            return
        except ConfigCompositionException as error:
            arguments = with_plus(sys.argv, error)
            if arguments == sys.argv:
                raise
            sys.argv = arguments


def with_plus(arguments: list[str], error: ConfigCompositionException) -> list[str]:
    """Return the arguments with a + before the key that Hydra refuses to override, if its node is there.

    Hydra knows the keys of the YAML only, and most keys of a phase or of the Trainer have a default
    elsewhere.
    """
    key = getattr(error.__cause__, "full_key", None)
    return [f"+{each}" if each.partition("=")[0] == key else each for each in arguments]


def _say(sentence: str) -> None:
    print(f"imageclf: {printable(sentence)}", file=sys.stderr)


def _exit_interrupted() -> NoReturn:
    _say("interrupted")
    sys.exit(INTERRUPTED)


def _is_interruption(error: BaseException) -> bool:
    # Lightning turns Ctrl-C inside a fit into sys.exit(1).
    return isinstance(error, KeyboardInterrupt) or (
        isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt)
    )


def exit_code(error: BaseException) -> int:
    """Return what a command exits with that ends by this error of a job."""
    if isinstance(error, JobError):
        return error.code
    if isinstance(error, InputError | HydraException | OmegaConfBaseException):
        return MISTAKE
    if isinstance(error, Preempted):
        return PREEMPTED
    return INTERRUPTED if _is_interruption(error) else FAILED


def _report(error: Exception) -> int:
    """Print what went wrong, a mistake in the input as one sentence, and return its exit code."""
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        _say(no_room(error))
        return FAILED
    # Outside a job Hydra composes and makes directories: what fails there is what it was given.
    outside = isinstance(error, OSError | ValueError) and error not in _failures
    code = MISTAKE if outside else exit_code(error)
    # The process of a sweep's job has shown the traceback already.
    if code == MISTAKE or isinstance(error, JobError):
        _say(explain(error))
    else:
        print(printable("".join(traceback.format_exception(error))), end="", file=sys.stderr)
    return code


def no_room(error: OSError) -> str:
    """Return the sentence about a full disk."""
    return (
        f"there is no room for {error.filename or 'a file'} ({error.strerror}): free some, then go on with "
        "hydra.run.dir=RUN ckpt_path=auto; what was saved before is whole"
    )


def explain(error: BaseException) -> str:
    """Return Hydra's complaint as one sentence, without its advice to append a key that does not exist."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, InputError):
            return str(cause)
        if isinstance(cause, ConfigAttributeError | ConfigKeyError):
            key = str(cause.full_key)
            siblings = [key.rpartition(".")[0] + f".{name}" for name in cause.parent_node or ()]
            return str(unknown_key(key, siblings))
        cause = cause.__cause__
    text = str(error).partition("Config search path")[0]
    return " ".join(line.strip() for line in text.splitlines() if line.strip())
