"""Run a Hydra main, and turn whatever happens into one sentence and an exit code."""

import functools
import os
import re
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn, ParamSpec, TypeVar

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from imageclf import InputError
from imageclf.configs.check import unknown_key
from imageclf.configs.paths import CONF_DIR
from imageclf.configs.plain import flat_keys

DONE, MISTAKE, FAILED, PREEMPTED, INTERRUPTED = 0, 1, 2, 75, 130

P = ParamSpec("P")
T = TypeVar("T")


_failures: list[Exception] = []


def recorded(job: Callable[P, T]) -> Callable[P, T]:
    """Let a job remember how it failed: of a multirun's failures Hydra passes on only the first."""

    @functools.wraps(job)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return job(*args, **kwargs)
        except Exception as error:
            _failures.append(error)
            raise

    return run


def run_main(main: Callable[[], object], config_name: str) -> NoReturn:
    """Call a Hydra main and exit: 0 done, 1 a mistake in the input, 2 a run failed, 130 interrupted.

    The codes are made here, outside hydra.main: an exit inside a job would end a whole sweep. A
    multirun exits with the highest code among its jobs.

    Args:
        main: decorated with hydra.main.
        config_name: its config, for suggestions.
    """
    # Hydra would print its own shortened traceback and exit with 1, whatever happened.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        main()
    except KeyboardInterrupt:
        print("imageclf: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except Exception as error:
        sys.exit(max(_report(each, config_name) for each in _failures or [error]))
    sys.exit(DONE)


def _report(error: Exception, config_name: str) -> int:
    """Print what went wrong, a mistake in the input as one sentence, and return its exit code."""
    if isinstance(error, InputError | HydraException | OmegaConfBaseException):
        print(f"imageclf: {explain(error, config_name)}", file=sys.stderr)
        return MISTAKE
    traceback.print_exception(error)
    return FAILED


def explain(error: Exception, config_name: str) -> str:
    """Return Hydra's complaint as one sentence, without its advice to append a key that does not exist."""
    cause = error
    if isinstance(error, InputError):
        return str(error)
    while cause.__cause__ is not None and isinstance(cause.__cause__, Exception):
        cause = cause.__cause__
        if isinstance(cause, InputError):
            return str(cause)
    match = re.search(r"Could not (?:override|delete from config)[^']*'([^']+)'", str(error))
    if match and "Could not override" in str(error):
        return str(unknown_key(match[1], _known_keys(config_name)))
    text = str(error).partition("Config search path")[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines)


def _known_keys(config_name: str) -> list[str]:
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from omegaconf import OmegaConf

    GlobalHydra.instance().clear()
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        return flat_keys(OmegaConf.to_container(compose(config_name), resolve=False))
