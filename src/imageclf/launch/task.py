"""One task of a job: through the door, with its directory held and its failure written down."""

from contextlib import nullcontext
from pathlib import Path

from imageclf.launch.slurm.requeue import requeued
from imageclf.system.locks import held
from imageclf.system.world import World
from imageclf.training.door import run
from imageclf.training.failure import noted_failure


def task(run_dir: Path) -> None:
    """Go through the door as one of the tasks that srun or torchrun started, or alone.

    Raises:
        InputError: as in `run`, or another job holds the directory.
        Preempted: as in `run`; a job of SLURM is requeued by then.
    """
    # The first task holds the directory for all: it is the one that writes there.
    is_first = World.of_process().rank == 0
    with requeued(), held(run_dir, is_first), noted_failure(run_dir) if is_first else nullcontext():
        run(run_dir)
