"""Make commands of functions, and turn every outcome into one sentence and an exit code."""

import functools
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn, ParamSpec, TypeVar

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException, HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from imageclf import InputError, Preempted
from imageclf.configs.found import offer
from imageclf.configs.help import help_text
from imageclf.configs.keys import unknown_key
from imageclf.configs.paths import CONF_DIR
from imageclf.configs.plain import refuse_secrets
from imageclf.configs.quoting import flags_first, quote_paths
from imageclf.system.errors import DONE, FAILED, INTERRUPTED, MISTAKE, NO_ROOM, PREEMPTED
from imageclf.system.printable import log_printable, printable
from imageclf.system.secrets import hidden

P = ParamSpec("P")
T = TypeVar("T")


class JobError(RuntimeError):
    """A job of a sweep failed in its own process.

    Args:
        sentence: names the job and the cause.
        code: exit code of the job as a command by itself.
    """

    def __init__(self, sentence: str, code: int) -> None:
        super().__init__(sentence)
        self.code = code


_failures: list[Exception] = []


def record(error: Exception) -> None:
    """Remember a job's failure: it counts for the exit code, and is reported at the end."""
    _failures.append(error)


def recorded(job: Callable[P, T]) -> Callable[P, T]:
    """Record a job's failures: Hydra passes on only the first one of a multirun."""

    @functools.wraps(job)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        """Call the job."""
        try:
            return job(*args, **kwargs)
        except Exception as error:
            record(error)
            raise

    return run


def _quiet(job: Callable[P, T]) -> Callable[P, T | None]:
    """Keep a failure of a single job, which is reported at the end, from Hydra.

    Hydra would print all overrides first, with whatever secrets they hold. A sweeper must see its failures.
    """

    @functools.wraps(job)
    def run(*args: P.args, **kwargs: P.kwargs) -> T | None:
        """Call the job."""
        try:
            return job(*args, **kwargs)
        except Exception:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise
            return None

    return run


def command(
    config_name: str,
) -> Callable[[Callable[[DictConfig, Path], object]], Callable[[], NoReturn]]:
    """Make a console command of a function that takes the composed config and Hydra's output directory.

    Args:
        config_name: the command's YAML below conf/.
    """
    folder, _, name = f"{CONF_DIR}/{config_name}".rpartition("/")

    def decorate(body: Callable[[DictConfig, Path], object]) -> Callable[[], NoReturn]:
        """Wrap the function in Hydra, and in what turns its end into an exit code."""

        @hydra.main(config_path=folder, config_name=name, version_base="1.3")
        @_quiet
        @recorded
        @functools.wraps(body)
        def job(cfg: DictConfig) -> object:
            """Call the function with a composed config."""
            output_dir = Path(HydraConfig.get().runtime.output_dir)
            refuse_secrets(cfg, output_dir)
            return body(cfg, output_dir)

        def compose_and_call() -> None:
            """Let Hydra compose and call, unless help is asked for."""
            if {"-h", "--help"} & {*sys.argv[1:]}:
                print(help_text(config_name, str(sys.modules[body.__module__].__doc__).splitlines()[0]))
                return
            sys.argv[1:] = quote_paths(flags_first(sys.argv[1:]))
            offer(sys.argv[1:])
            job()

        @functools.wraps(body)
        def main() -> NoReturn:
            """Run the command line, and exit."""
            run_main(compose_and_call)

        return main

    return decorate


def run_main(main: Callable[[], object]) -> NoReturn:
    """Call a Hydra main and exit: 0 done, 1 mistake in the input, 2 failed, 75 preempted, 130 interrupted.

    The exit happens here, outside hydra.main: inside a job it would end a whole sweep. A multirun exits
    with the highest code among its jobs.
    """
    # Hydra would print its own shortened traceback and always exit with 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    # Nobody may read the messages any more: the terminal is gone, or `head` has seen enough.
    logging.raiseExceptions = False
    _answer_ctrl_c()
    log_printable()
    try:
        _call(main)
    except (KeyboardInterrupt, Preempted, SystemExit) as error:
        if isinstance(error, SystemExit) and _interruption(error) is None:
            raise
        _print_error(explain(error))
        _leave(exit_code(error))
    except Exception as error:
        _leave(max(_report(each) for each in _failures or [error]))
    # A search continues after failed trials, and does not raise.
    _leave(max(map(_report, _failures), default=DONE))


def _answer_ctrl_c() -> None:
    """Handle SIGINT even if ignored: a shell script that starts a command with & makes it ignore Ctrl-C."""
    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    ):
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _call(main: Callable[[], object]) -> None:
    """Call a Hydra main, and again with a + before each key that the YAML leaves out, for `check`."""
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
    """Return the arguments with a + before the key that Hydra refuses to override, if its node exists.

    Hydra has no option for this: a composed config is always closed. The keys of a user's own class or of
    the Trainer have their defaults in its signature, not in a YAML.
    """
    key = getattr(error.__cause__, "full_key", None)
    return [f"+{each}" if each.partition("=")[0] == key else each for each in arguments]


def _print_error(sentence: str) -> None:
    _print(f"imageclf: {sentence}\n")


def _print(text: str) -> None:
    # The terminal may be gone.
    with suppress(OSError):
        print(printable(hidden(text, sys.argv)), end="", file=sys.stderr, flush=True)


def _leave(code: int) -> NoReturn:
    """Exit with a code, also where nobody reads the output any more: Python would exit with 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


def _interruption(error: BaseException) -> KeyboardInterrupt | None:
    # Lightning turns Ctrl-C inside a fit into sys.exit(1).
    cause = error.__context__ if isinstance(error, SystemExit) else error
    return cause if isinstance(cause, KeyboardInterrupt) else None


def exit_code(error: BaseException) -> int:
    """Return the exit code that an error of a job leads to."""
    if isinstance(error, JobError):
        return error.code
    if isinstance(error, InputError | HydraException | OmegaConfBaseException):
        return MISTAKE
    if isinstance(error, Preempted):
        return PREEMPTED
    return FAILED if _interruption(error) is None else INTERRUPTED


def _report(error: Exception) -> int:
    """Print an error, a mistake in the input as one sentence, and return its exit code."""
    if isinstance(error, OSError) and error.errno in NO_ROOM:
        _print_error(no_room(error))
        return FAILED
    # Outside a job Hydra composes and makes directories: a failure there is a mistake in its input.
    outside = isinstance(error, OSError | ValueError) and error not in _failures
    code = MISTAKE if outside else exit_code(error)
    # A sweep's job has printed its traceback in its own process.
    if code == MISTAKE or isinstance(error, JobError):
        _print_error(explain(error))
    else:
        _print("".join(traceback.format_exception(error)))
    return code


def no_room(error: OSError) -> str:
    """Return the sentence about a full disk."""
    return (
        f"there is no room for {error.filename or 'a file'} ({error.strerror}): free some, then go on with "
        "hydra.run.dir=RUN ckpt_path=auto; earlier checkpoints are intact"
    )


def explain(error: BaseException) -> str:
    """Return an error's message as one sentence, without Hydra's advice to append an unknown key."""
    interruption = _interruption(error)
    if interruption is not None:
        return str(interruption) or "interrupted"
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
