"""Hydra's sweeper for hparams_search=optuna: a trial starts as soon as a slot is free."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from imageclf import InputError

# Searches that were written for Hydra's own optuna sweeper choose it, and its sampler, by these names.
if find_spec("hydra_plugins.hydra_optuna_sweeper") is None:
    _OLD = {"defaults": ["imageclf_search", "_self_", {"sampler": "tpe"}]}
    ConfigStore.instance().store("optuna", _OLD, group="hydra/sweeper", provider="imageclf")
    for _name, _sampler in (("tpe", "TPESampler"), ("random", "RandomSampler"), ("nsgaii", "NSGAIISampler")):
        ConfigStore.instance().store(
            _name,
            {"_target_": f"optuna.samplers.{_sampler}"},
            group="hydra/sweeper/sampler",
            provider="imageclf",
        )


class SearchSweeper(Sweeper):
    """Ask optuna for a trial whenever the launcher can start one, and tell it each result.

    Args:
        keys: of hydra.sweeper; they are read from the config.
    """

    def __init__(self, **keys: Any) -> None:
        pass

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep the config, and let the launcher choose the folder.

        Raises:
            InputError: optuna is missing or too old, or the launcher starts whole batches.
        """
        check_installed()
        self._loader, self._config = hydra_context.config_loader, config
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        if not hasattr(self._launcher, "stream"):
            raise InputError(
                f"hparams_search: {type(self._launcher).__name__} starts whole batches of runs; leave out "
                "hydra/launcher, or give cluster=slurm"
            )

    def sweep(self, arguments: list[str]) -> None:
        """Run the search."""
        from imageclf.launch.search.search import search

        search(self._loader, self._config, arguments, self._launcher.stream)  # type: ignore[attr-defined]


def check_installed() -> None:
    """Refuse a search without a current optuna.

    Raises:
        InputError: it is missing or too old.
    """
    try:
        found = version("optuna")
    except PackageNotFoundError:
        raise InputError("hparams_search needs optuna: pip install 'imageclf[sweep]'") from None
    if int(found.partition(".")[0]) < 4:
        raise InputError(
            f"hparams_search needs optuna 4, and {found} is installed: pip uninstall hydra-optuna-sweeper, "
            "then pip install 'imageclf[sweep]'"
        )
