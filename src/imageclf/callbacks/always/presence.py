"""End a run whose directory was removed or moved: what it writes later would be half a run."""

import time
from pathlib import Path
from typing import Any

import lightning as pl

from imageclf.system.errors import RunError

# Seconds between two looks: on a network disk each takes a millisecond.
_EVERY = 1.0


def check_present(run_dir: Path) -> None:
    """Refuse to go on in a run directory that is no longer there.

    Raises:
        RunError: its config.yaml is gone.
    """
    if not (run_dir / "config.yaml").exists():
        raise RunError(
            f"{run_dir} was removed or moved during its training: nothing more is written; put it back and "
            f"go on with hydra.run.dir={run_dir} ckpt_path=auto, or start anew"
        )


class Presence(pl.Callback):
    """Look once a second, and before the files of an epoch and of the run's end are written."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._looked_at = 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look if a second has passed."""
        if time.monotonic() - self._looked_at >= _EVERY:
            check_present(self._run_dir)
            self._looked_at = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look."""
        check_present(self._run_dir)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look."""
        check_present(self._run_dir)
