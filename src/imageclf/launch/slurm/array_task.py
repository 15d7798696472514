"""What each task of a submitted job does: train a run directory, and exit like the command."""

from pathlib import Path

from submitit.helpers import Checkpointable

from imageclf.configs import recorded, run_main
from imageclf.launch.tasks import train_task


class ArrayTask(Checkpointable):
    """Train a run directory in a process that submitit started; a requeued job does the same again.

    SLURM gets the command's exit code: with Hydra's own launchers a failure would look like a success
    (https://github.com/facebookresearch/hydra/issues/1928).
    """

    def __call__(self, run_dir: str) -> None:
        """Train, or exit with the code of the failure."""
        try:
            run_main(recorded(lambda: train_task(Path(run_dir))))
        except SystemExit as leaving:
            # submitit expects a return after success.
            if leaving.code:
                raise
