"""Configs as Hydra composes them for a job: the files once for all that choose the same options.

A composition takes a fifth of a second, and the tests need a thousand. Values are assigned to a copy, as a
sweep does for its jobs, see `imageclf.launch.templates`.
"""

import pickle
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, open_dict

from imageclf.configs import CONF_DIR
from imageclf.configs.found.source import offer


def composed_in(run_dir: Path, overrides: tuple[str, ...], name: str = "train") -> DictConfig:
    """Return a command's unresolved config for a job in `run_dir`."""
    return for_job(assigned(overrides, name), run_dir)


def for_job(cfg: DictConfig, run_dir: Path) -> DictConfig:
    """Return a composed config without Hydra's own node, which becomes the HydraConfig of the current job."""
    with open_dict(cfg):
        cfg.hydra.runtime.output_dir = str(run_dir)
        cfg.hydra.job.num = 0
        HydraConfig.instance().set_config(pickle.loads(pickle.dumps(cfg)))
        del cfg["hydra"]
    return cfg


def compose_from(folder: str, overrides: tuple[str, ...], name: str) -> DictConfig:
    """Compose the config of a command whose file is in `folder`, with Hydra's own node."""
    offer(())
    with initialize_config_dir(folder, version_base="1.3"):
        return compose(name, overrides=list(overrides), return_hydra_config=True)


def assigned(overrides: tuple[str, ...], name: str) -> DictConfig:
    """Return what `compose_from` does of conf/, by assigning the values to a copy with the options chosen."""
    parsed = [_parsed(each) for each in overrides]
    values = [each for each in parsed if not (each.is_hydra_override() or _is_choice(each))]
    chosen = [text for text, each in zip(overrides, parsed, strict=True) if each not in values]
    cfg: DictConfig = pickle.loads(_composed(tuple(chosen), name))
    ConfigLoaderImpl._apply_overrides_to_config(values, cfg)
    typed = [each for each in parsed if not each.is_hydra_override()]
    job: Any = cfg.hydra.job
    job.override_dirname = get_overrides_dirname(typed, **job.config.override_dirname)
    cfg.hydra.overrides.task = [each.input_line for each in typed]
    cfg.hydra.runtime.cwd = str(Path.cwd())
    return cfg


def _is_choice(override: Override) -> bool:
    return override.package is not None or Path(CONF_DIR, override.key_or_group).is_dir()


@lru_cache(maxsize=4096)
def _parsed(override: str) -> Override:
    return OverridesParser.create().parse_overrides([override])[0]


@lru_cache(maxsize=256)
def _composed(overrides: tuple[str, ...], name: str) -> bytes:
    return pickle.dumps(compose_from(CONF_DIR, overrides, name))
