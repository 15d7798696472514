"""Compose the jobs of a large sweep quickly: those that choose the same options differ in values alone."""

import gc
import pickle
from functools import cache
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig


def share_files(loader: ConfigLoader) -> None:
    """Let a loader read the YAML files of a sweep once for all jobs that choose the same options.

    Hydra reads and merges all of them for each job, and its basic sweeper does so once more to check them;
    what takes it a third of a second is a copy and a few assignments here, and a pickle is copied in a fifth
    of the time that `copy.deepcopy` needs. The configs are the same.

    The loader's `load_sweep_config` is replaced.
    """
    # The libraries stay: looking through them for garbage took longer than composing the jobs.
    gc.freeze()
    load, templates = loader.load_sweep_config, dict[tuple[str, ...], bytes]()

    @cache
    def is_group(key: str) -> bool:
        """Return whether an override of this key chooses an option."""
        return bool(loader.get_group_options(key))

    def compose(master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """Compose the config of a job."""
        parsed = OverridesParser.create().parse_overrides(sweep_overrides)
        if any(each.is_hydra_override() for each in parsed):
            return load(master_config, sweep_overrides)
        values = [each for each in parsed if each.package is None and not is_group(each.key_or_group)]
        chosen = tuple(str(each.input_line) for each in parsed if each not in values)
        if chosen not in templates:
            templates[chosen] = pickle.dumps(load(master_config, list(chosen)))
        config: DictConfig = pickle.loads(templates[chosen])
        # As Hydra does with them, in their order and after all files.
        ConfigLoaderImpl._apply_overrides_to_config(values, config)
        job: Any = config.hydra.job
        job.override_dirname = get_overrides_dirname(parsed, **job.config.override_dirname)
        config.hydra.overrides.task = list(sweep_overrides)
        return config

    loader.load_sweep_config = compose  # type: ignore[method-assign]
