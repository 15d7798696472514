"""Call what a command calls from a program of the user's own: nothing exits, and Hydra is left as it was."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from hydra import initialize_config_dir
from hydra._internal.hydra import Hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.version import VersionBase
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from imageclf import InputError
from imageclf.configs.ending import explain, interruption
from imageclf.configs.entry import call_body, composing, hydra_arguments
from imageclf.configs.paths import CONF_DIR, run_id

T = TypeVar("T")


def call(config_name: str, overrides: Sequence[str], body: Callable[[DictConfig, Path], T]) -> T:
    """Compose a command's config, make its output directory, and call a function with both, as its main does.

    Overrides are as typed on the command line, without flags; the function also takes Hydra's output
    directory.

    Raises:
        InputError: a mistake in the overrides, in the words of the command.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    # Every call is a run of its own.
    run_id.cache_clear()
    arguments = hydra_arguments(overrides)
    try:
        with _own_hydra() as hydra:
            return composing(arguments, lambda each: _run(hydra, config_name, each, body))
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(explain(error)) from error
    except SystemExit as error:
        raise interruption(error) or error from None


def _run(hydra: Hydra, config_name: str, overrides: list[str], body: Callable[[DictConfig, Path], T]) -> T:
    def job(cfg: DictConfig) -> T | Exception:
        """Call the function, and return what it raises: Hydra would print all overrides first."""
        try:
            return call_body(body, cfg)
        except Exception as error:
            return error

    # Logging is the program's own.
    result: T | Exception = hydra.run(config_name, job, overrides, with_log_configuration=False).return_value
    if isinstance(result, Exception):
        raise result
    return result


@contextmanager
def _own_hydra() -> Iterator[Hydra]:
    """Yield a Hydra of our own: the program may be an application of Hydra itself."""
    state, base = GlobalHydra.instance().hydra, VersionBase.instance().version_base
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(CONF_DIR, version_base="1.3"):
            hydra = GlobalHydra.instance().hydra
            assert hydra is not None, "it has just been made"
            yield hydra
    finally:
        GlobalHydra.instance().hydra = state
        VersionBase.instance().version_base = base
