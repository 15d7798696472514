"""Configs as Hydra composes them for a job, each cached: a composition takes a quarter of a second."""

import copy
from functools import lru_cache
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from imageclf.configs import CONF_DIR
from imageclf.configs.found.source import offer


def composed_in(run_dir: Path, overrides: tuple[str, ...], name: str = "train") -> DictConfig:
    """Return a command's unresolved config for a job in `run_dir`."""
    return for_job(_composed(overrides, name), run_dir)


def for_job(composed: DictConfig, run_dir: Path) -> DictConfig:
    """Return a copy without Hydra's own node, which becomes the HydraConfig of the current job."""
    cfg = copy.deepcopy(composed)
    with open_dict(cfg):
        cfg.hydra.runtime.output_dir = str(run_dir)
        cfg.hydra.job.num = 0
        HydraConfig.instance().set_config(copy.deepcopy(cfg))
        del cfg["hydra"]
    return cfg


def compose_from(folder: str, overrides: tuple[str, ...], name: str) -> DictConfig:
    """Compose the config of a command whose file is in `folder`, with Hydra's own node."""
    offer(())
    with initialize_config_dir(folder, version_base="1.3"):
        return compose(name, overrides=list(overrides), return_hydra_config=True)


@lru_cache(maxsize=64)
def _composed(overrides: tuple[str, ...], name: str) -> DictConfig:
    return compose_from(CONF_DIR, overrides, name)
