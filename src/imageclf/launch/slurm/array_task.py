"""What a task of a submitted job does: go through the one door, with the exit code of a command."""

from pathlib import Path
from typing import Any

from imageclf.configs import recorded, run_main
from imageclf.launch.tasks import train_task


class ArrayTask:
    """Train a run directory in a process that submitit started; a requeued job calls it again.

    SLURM sees the exit code: what stands behind Hydra's launchers would be a success in any case
    (https://github.com/facebookresearch/hydra/issues/1928).
    """

    def __call__(self, run_dir: str) -> None:
        """Train, or leave the process with the exit code of what went wrong."""
        try:
            run_main(recorded(lambda: train_task(Path(run_dir))))
        except SystemExit as leaving:
            # submitit takes a return for success.
            if leaving.code:
                raise

    def checkpoint(self, run_dir: str) -> Any:
        """Return what a requeued job does: the same again, since the directory knows how far it is."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, run_dir)
