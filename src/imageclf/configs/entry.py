"""Make commands of functions: compose their config, call them, and exit with a code."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn, TypeVar

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import DictConfig

from imageclf import Preempted
from imageclf.configs.ending import exit_code, explain, interruption, leave, print_error, record, report_all
from imageclf.configs.found.source import offer
from imageclf.configs.help import help_text
from imageclf.configs.loading import load
from imageclf.configs.own_code import remember_folders
from imageclf.configs.paths import CONF_DIR
from imageclf.configs.plain import refuse_secrets
from imageclf.configs.quoting import flags_first, quote_paths, with_own_nodes
from imageclf.configs.replaced import drop_replaced
from imageclf.configs.streams import tolerate_closed_streams
from imageclf.system.errors import Pruned
from imageclf.system.printable import log_printable

T = TypeVar("T")


def command(config_name: str, doc: str | None) -> Callable[[], NoReturn]:
    """Return the main of a console command: it composes a config, and calls `run` of the file in commands/.

    `config_name` is the command's YAML below conf/, whose last part is also the name of the file. The
    first line of `doc`, that of the main's module, tells the purpose.
    """
    folder, _, name = f"{CONF_DIR}/{config_name}".rpartition("/")

    def job(cfg: DictConfig) -> object:
        """Call the command; what a single one fails of is kept from Hydra, and reported at the end."""
        try:
            return call_body(load(f"imageclf.commands.{name}").run, cfg)
        except Exception as error:
            record(error)
            # A sweeper must see it. Of a single job Hydra would print all overrides, with their secrets.
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise
            return None

    # The name of the log file, for Hydra.
    job.__module__ = f"imageclf.{name}"
    compose_and_call = hydra.main(config_path=folder, config_name=name, version_base="1.3")(job)

    def call_with(arguments: list[str]) -> None:
        """Let Hydra compose and call."""
        sys.argv[1:] = arguments
        compose_and_call()

    def answer() -> None:
        """Print the help if it is asked for, or run the command line."""
        if {"-h", "--help"} & {*sys.argv[1:]}:
            print(help_text(config_name, str(doc).splitlines()[0]))
        else:
            composing(hydra_arguments(sys.argv[1:]), call_with)

    return partial(run_main, answer)


def call_body(body: Callable[[DictConfig, Path], T], cfg: DictConfig) -> T:
    """Call what a command does, in a job of Hydra, with the composed config and Hydra's output directory."""
    output_dir = Path(HydraConfig.get().runtime.output_dir)
    # First: by now Hydra has written the config down.
    refuse_secrets(cfg, output_dir)
    drop_replaced(cfg, HydraConfig.get(), GlobalHydra.instance().config_loader())
    return body(cfg, output_dir)


def hydra_arguments(words: Sequence[str]) -> list[str]:
    """Return the words of a command line as Hydra takes them, which from now on finds what they name."""
    arguments = with_own_nodes(quote_paths(flags_first(words)))
    offer(arguments)
    remember_folders(arguments)
    return arguments


def run_main(main: Callable[[], object]) -> NoReturn:
    """Call a main and exit: 0 done, 1 mistake in the input, 2 failed, 75 preempted, 130 interrupted.

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
        main()
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


def composing(arguments: list[str], compose: Callable[[list[str]], T]) -> T:
    """Compose with arguments, and again with a + before each key that the YAML leaves out, for `check`."""
    while True:
        try:
            return compose(arguments)
        except ConfigCompositionException as error:
            before, arguments = arguments, with_plus(arguments, error)
            if arguments == before:
                raise


def with_plus(arguments: list[str], error: ConfigCompositionException) -> list[str]:
    """Return the arguments with a + before the key that Hydra refuses to override, if its node exists.

    Hydra has no option for this (https://github.com/facebookresearch/hydra/issues/1049): a composed config is
    always closed. The keys of a user's own class or of the Trainer have their defaults in its signature, not
    in a YAML.
    """
    key = getattr(error.__cause__, "full_key", None)
    return [f"+{each}" if each.partition("=")[0] == key else each for each in arguments]
