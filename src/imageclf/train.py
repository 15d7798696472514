"""imageclf-train: train an image classifier on your pictures."""

from pathlib import Path
from typing import NoReturn

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from imageclf.configs import command, recorded, run_main
from imageclf.system.world import World


@command("train")
def compose_and_train(cfg: DictConfig, folder: Path) -> float | None:
    """Train one run and return its optimized metric."""
    # Imported here: --help and Tab need no torch.
    from imageclf.launch.start import start

    return start(cfg, folder, list(HydraConfig.get().overrides.task))


@recorded
def follow() -> None:
    """Train the run that the first task has composed."""
    from imageclf.launch.tasks import train_broadcast_run

    train_broadcast_run()


def main() -> NoReturn:
    """Run the command line; of several tasks that srun or torchrun started, only the first composes."""
    if World.of_process().rank == 0:
        compose_and_train()
    run_main(follow)


if __name__ == "__main__":
    main()
