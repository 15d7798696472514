"""Train a composed config."""

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from imageclf.launch.start import start


def run(cfg: DictConfig, folder: Path) -> float | None:
    """Train one run, print its directory, and return its optimized metric."""
    return start(cfg, folder, list(HydraConfig.get().overrides.task))
