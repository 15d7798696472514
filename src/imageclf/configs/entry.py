"""Make commands of functions: compose their config, call them, and exit with a code."""

import functools
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn, ParamSpec, TypeVar

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import DictConfig

from imageclf import Preempted
from imageclf.configs.ending import exit_code, explain, interruption, leave, print_error, recorded, report_all
from imageclf.configs.found.source import offer
from imageclf.configs.help import help_text
from imageclf.configs.own_code import remember_folders
from imageclf.configs.paths import CONF_DIR
from imageclf.configs.plain import refuse_secrets
from imageclf.configs.quoting import flags_first, quote_paths, with_own_nodes
from imageclf.configs.replaced import drop_replaced
from imageclf.configs.streams import tolerate_closed_streams
from imageclf.system.errors import Pruned
from imageclf.system.printable import log_printable

P = ParamSpec("P")
T = TypeVar("T")


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
        job = hydra.main(config_path=folder, config_name=name, version_base="1.3")(
            _quiet(recorded(with_output_dir(body)))
        )

        def compose_and_call() -> None:
            """Let Hydra compose and call, unless help is asked for."""
            if {"-h", "--help"} & {*sys.argv[1:]}:
                print(help_text(config_name, str(sys.modules[body.__module__].__doc__).splitlines()[0]))
                return
            sys.argv[1:] = hydra_arguments(sys.argv[1:])
            job()

        @functools.wraps(body)
        def main() -> NoReturn:
            """Run the command line, and exit."""
            run_main(compose_and_call)

        return main

    return decorate


def with_output_dir(body: Callable[[DictConfig, Path], T]) -> Callable[[DictConfig], T]:
    """Make a job of Hydra of a function that takes the composed config and Hydra's output directory."""

    @functools.wraps(body)
    def job(cfg: DictConfig) -> T:
        """Call the function with a composed config."""
        output_dir = Path(HydraConfig.get().runtime.output_dir)
        refuse_secrets(cfg, output_dir)
        drop_replaced(cfg, HydraConfig.get(), GlobalHydra.instance().config_loader())
        return body(cfg, output_dir)

    return job


def hydra_arguments(words: Sequence[str]) -> list[str]:
    """Return the words of a command line as Hydra takes them, which from now on finds what they name."""
    arguments = with_own_nodes(quote_paths(flags_first(words)))
    offer(arguments)
    remember_folders(arguments)
    return arguments


def run_main(main: Callable[[], object]) -> NoReturn:
    """Call a Hydra main and exit: 0 done, 1 mistake in the input, 2 failed, 75 preempted, 130 interrupted.

    The exit happens here, outside hydra.main: inside a job it would end a whole sweep. A multirun exits
    with the highest code among its jobs.
    """
    # Hydra would print its own shortened traceback and always exit with 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    tolerate_closed_streams()
    # A full disk behind stdout is no reason to end, and no reason for a traceback per message.
    logging.raiseExceptions = False
    _answer_ctrl_c()
    log_printable()
    try:
        _call(main)
    except (KeyboardInterrupt, Preempted, Pruned, SystemExit) as error:
        if isinstance(error, SystemExit) and interruption(error) is None:
            raise
        print_error(explain(error))
        leave(exit_code(error))
    except Exception as error:
        leave(report_all(error))
    # A search continues after failed trials, and does not raise.
    leave(report_all())


def _answer_ctrl_c() -> None:
    """Handle SIGINT even if ignored: a shell script that starts a command with & makes it ignore Ctrl-C."""
    if (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    ):
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _call(main: Callable[[], object]) -> None:
    """Call a Hydra main with the command line, as `composing` does."""

    def compose(arguments: list[str]) -> None:
        """Call the main with a command line."""
        sys.argv = arguments
        main()

    composing(sys.argv, compose)


def composing(arguments: list[str], compose: Callable[[list[str]], T]) -> T:
    """Compose with arguments, and again with a + before each key that the YAML leaves out, for `check`.

    Args:
        arguments: of the command line.
        compose: raises Hydra's error where it refuses one.
    """
    while True:
        try:
            return compose(arguments)
        except ConfigCompositionException as error:
            before, arguments = arguments, with_plus(arguments, error)
            if arguments == before:
                raise


def with_plus(arguments: list[str], error: ConfigCompositionException) -> list[str]:
    """Return the arguments with a + before the key that Hydra refuses to override, if its node exists.

    Hydra has no option for this: a composed config is always closed. The keys of a user's own class or of
    the Trainer have their defaults in its signature, not in a YAML.
    """
    key = getattr(error.__cause__, "full_key", None)
    return [f"+{each}" if each.partition("=")[0] == key else each for each in arguments]
