"""imageclf-train: train an image classifier on your pictures."""

from typing import NoReturn

from imageclf.configs import command, recorded, run_main
from imageclf.configs.loading import load
from imageclf.system.world import World

compose_and_train = command("train", __doc__)


@recorded
def follow() -> None:
    """Train the run that the first task has composed."""
    load("imageclf.launch.tasks").train_broadcast_run()


def main() -> NoReturn:
    """Run the command line; of several tasks that srun or torchrun started, only the first composes."""
    if World.of_process().rank == 0:
        compose_and_train()
    run_main(follow)


if __name__ == "__main__":
    main()
