"""imageclf-train: take pictures through a schedule, into a run directory."""

from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from imageclf.configs import CONF_DIR, recorded, run_main
from imageclf.system.world import World


@hydra.main(config_path=CONF_DIR, config_name="train", version_base="1.3")
@recorded
def job(cfg: DictConfig) -> float | None:
    """Train one run and return its optimized metric."""
    # Imported here: --help and Tab need no torch.
    from imageclf.launch.start import start

    hydra_config = HydraConfig.get()
    return start(cfg, Path(hydra_config.runtime.output_dir), list(hydra_config.overrides.task))


@recorded
def follow() -> None:
    """Train the run that the first task has composed."""
    from imageclf.launch.tasks import train_broadcast_run

    train_broadcast_run()


def main() -> None:
    """Run the command line; of several tasks that srun or torchrun started, the first one alone does."""
    run_main(job if World.of_process().rank == 0 else follow)


if __name__ == "__main__":
    main()
