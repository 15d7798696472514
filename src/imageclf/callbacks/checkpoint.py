"""Save the whole state at safe points, so that a run that is killed goes on bit for bit."""

import logging
import time
from pathlib import Path
from typing import Any

import lightning as pl

from imageclf.callbacks.files import is_whole, rotate
from imageclf.schedule import Schedule

log = logging.getLogger(__name__)

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"


def newest_whole(folder: Path) -> Path | None:
    """Return the newest complete checkpoint of a folder, or None; a damaged one is passed over, and said."""
    for path in (folder / LAST, folder / PREVIOUS):
        if path.exists() and is_whole(path):
            return path
        if path.exists():
            log.warning("%s is damaged; looking for the one before it", path)
    return None


def next_position(epoch: int, batch: int, num_batches: int) -> tuple[int, int]:
    """Return the position after a batch: the next one, or the start of the next epoch.

    >>> next_position(2, 4, 6), next_position(2, 5, 6)
    ((2, 5), (3, 0))
    """
    return (epoch, batch + 1) if batch + 1 < num_batches else (epoch + 1, 0)


class Checkpoint(pl.Callback):
    """Write `checkpoints/last.ckpt` at safe points, and keep the one before it.

    A safe point is the end of a batch on which the optimizer stepped and that is not the epoch's last
    one, or the end of an epoch after its validation. A phase's end is always saved.

    Args:
        schedule: what holds at an epoch.
        run_dir: of the run.
        every_n_minutes: save at the first safe point after so long; None: not by time.
        every_n_batches: save at the safe points that so many batches of an epoch lead to; None: not by count.
    """

    def __init__(
        self, schedule: Schedule, run_dir: Path, every_n_minutes: float | None, every_n_batches: int | None
    ) -> None:
        self._schedule = schedule
        self._dir = run_dir / "checkpoints"
        self._every_n_minutes = every_n_minutes
        self._every_n_batches = every_n_batches
        self._position = (0, 0)
        self._saved_at = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save inside an epoch, where gradients are not half accumulated."""
        # The epoch's last batch waits for its end: the next phase may change the optimizer first.
        position = next_position(trainer.current_epoch, batch_idx, int(trainer.num_training_batches))
        # Half accumulated gradients are not in a checkpoint.
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        counted = bool(self._every_n_batches) and (batch_idx + 1) % (self._every_n_batches or 1) == 0
        if position[1] > 0 and stepped and self._agreed(trainer, counted):
            self.save(trainer, position)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save at a phase's end, and at any epoch's end that is due."""
        place = self._schedule.at(trainer.current_epoch)
        # A phase's end is worth the disk: what follows is another kind of training.
        ends = place.epoch == place.phase.epochs - 1
        if self._agreed(trainer, ends or self._every_n_batches is not None):
            self.save(trainer, (trainer.current_epoch + 1, 0))

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Store the position of the next batch; Lightning's counters are not read."""
        checkpoint["position"] = list(self._position)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Tell the data where to go on."""
        epoch, batch = checkpoint["position"]
        trainer.datamodule.resume_at = (epoch, batch)  # type: ignore[attr-defined]
        log.info("resuming at epoch %d, batch %d", epoch, batch)

    def save(self, trainer: pl.Trainer, position: tuple[int, int]) -> None:
        """Write the state under a temporary name, then rename; a collective call."""
        self._position = position
        # A fixed name: a run directory has one run, and a killed save is overwritten by the next.
        temporary = self._dir / f".{LAST}.tmp"
        trainer.save_checkpoint(temporary)
        if trainer.is_global_zero:
            rotate(temporary, self._dir / LAST, self._dir / PREVIOUS)
        self._saved_at = time.monotonic()

    def _agreed(self, trainer: pl.Trainer, due: bool) -> bool:
        """Return whether to save; where the clock decides, all ranks follow the first one's."""
        if due or self._every_n_minutes is None:
            return due
        late = time.monotonic() - self._saved_at >= 60 * self._every_n_minutes
        return bool(trainer.strategy.broadcast(late)) if trainer.world_size > 1 else late
