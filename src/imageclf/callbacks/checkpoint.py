"""Save the whole state at safe points, so that a killed run resumes bit for bit."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as pl
import torch

from imageclf import InputError
from imageclf.callbacks.always.votes import Votes
from imageclf.callbacks.callback import Callback, Order, data_of
from imageclf.model.weights.files import is_whole
from imageclf.schedule import RunState, Schedule
from imageclf.system.files import replace, rotate
from imageclf.system.signals import Notice

log = logging.getLogger(__name__)

Ask = Callable[[pl.Trainer, bool, bool], tuple[bool, bool]]

LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"


def newest_whole(folder: Path) -> Path | None:
    """Return the newest complete checkpoint of a folder, or None; damaged ones are skipped with a warning."""
    for path in (folder / LAST, folder / PREVIOUS):
        if path.exists() and is_whole(path):
            return path
        if path.exists():
            instead = "looking for the one before it" if path.name == LAST else "there is no other"
            log.warning("%s is damaged; %s", path, instead)
    return None


def safe_point(epoch: int, batch: int, num_batches: int, accumulate: int) -> tuple[int, int] | None:
    """Return the position to save after a batch of an epoch, or None where a run could not resume exactly.

    An optimizer step takes `accumulate` batches.

    >>> safe_point(2, 3, 6, 1), safe_point(2, 3, 6, 3), safe_point(2, 5, 6, 1)
    ((2, 4), None, None)
    """
    # After the last batch the save waits for the epoch's end. Partly accumulated gradients are not saved.
    is_safe = batch + 1 < num_batches and (batch + 1) % accumulate == 0
    return (epoch, batch + 1) if is_safe else None


def is_better(score: float, best: float | None, lower_is_better: bool = False) -> bool:
    """Return whether a score is better than the best so far; NaN never is.

    >>> is_better(0.9, 0.8), is_better(0.9, 0.8, lower_is_better=True), is_better(0.8, 0.8)
    (True, False, False)
    """
    if best is None:
        return score == score
    return score < best if lower_is_better else score > best


class Checkpoint(Callback):
    """Write `checkpoints/last.ckpt` at safe points, and keep the one before it.

    A safe point is the end of a batch after which the optimizer stepped, unless it is the epoch's last, or
    the end of an epoch after its validation. A phase's end is always saved, and so is the first safe point
    after a signal asked the run to end.

    Args:
        state: of the run; receives the position that a resumed run starts from.
        every_n_minutes: save at the first safe point after this time; None: not by time.
        every_n_batches: save when this many batches of an epoch are done, and again after as many; None: not
            by count.
        best: also keep `checkpoints/best.ckpt`, the state after the epoch with the best score of this name,
            such as val/acc; the first of equals. None: do not.
        notice: the signals that the run has received.
        lower_is_better: whether a lower score of `best` is better.
    """

    order = Order.CHECKPOINT

    def __init__(
        self,
        schedule: Schedule,
        state: RunState,
        run_dir: Path,
        every_n_minutes: float | None,
        every_n_batches: int | None,
        best: str | None = None,
        notice: Notice | None = None,
        lower_is_better: bool = False,
    ) -> None:
        self._schedule = schedule
        self._state = state
        self._dir = run_dir / "checkpoints"
        self._every_n_minutes = every_n_minutes
        self._every_n_batches = every_n_batches
        self._best = best
        self._best_score: float | None = None
        self._lower_is_better = lower_is_better
        self._notice = notice or Notice()
        self._votes = Votes()
        self._position = (0, 0)
        self._saved_at = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save inside an epoch if a save is due."""
        num_batches, accumulate = int(trainer.num_training_batches), trainer.accumulate_grad_batches
        position = safe_point(trainer.current_epoch, batch_idx, num_batches, accumulate)
        due = bool(self._every_n_batches) and (batch_idx + 1) % (self._every_n_batches or 1) == 0
        if position is not None:
            self._save_if(trainer, position, due, self._votes.ask)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save at a phase's end, and at the end of any other epoch if a save is due."""
        # Not (epoch, last batch + 1): validation and the callbacks of the epoch's end are done, and must not
        # run again when this checkpoint is resumed.
        position = (trainer.current_epoch + 1, 0)
        self._save_best(trainer, position)
        due = self._schedule.at(trainer.current_epoch).is_phase_end or self._every_n_batches is not None
        self._save_if(trainer, position, due, self._votes.ask_now)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Warn if no epoch had the score whose best epoch was to be kept."""
        if self._best and self._best_score is None:
            log.warning("callbacks.checkpoint.best=%s: no epoch had this score; no %s", self._best, BEST)

    def state_dict(self) -> dict[str, Any]:
        """Return the best score so far."""
        return {"best": self._best_score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best score."""
        self._best_score = state_dict["best"]

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Store the position of the next batch, which is read in place of Lightning's counters, and more.

        What resuming compares: the number of ranks and threads, and the pictures.
        """
        checkpoint["position"] = list(self._position)
        checkpoint["ranks"] = trainer.world_size
        checkpoint["threads"] = torch.get_num_threads()
        checkpoint["table"] = data_of(trainer).table.digest

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Restore the position to start from.

        Raises:
            InputError: another number of ranks saved it, and the batches would differ.
        """
        epoch, batch = checkpoint["position"]
        # Checkpoints of early versions lack it.
        ranks = checkpoint.get("ranks", trainer.world_size)
        is_shared = data_of(trainer).loading.global_batch_size is not None
        if ranks != trainer.world_size and not is_shared:
            raise InputError(
                f"{trainer.ckpt_path} was saved by {ranks} ranks, and there are {trainer.world_size}: its "
                f"batches would change; go on with {ranks} (trainer.devices x trainer.num_nodes), or start a "
                "new run, with data.global_batch_size if its ranks are to change"
            )
        threads = checkpoint.get("threads", torch.get_num_threads())
        if threads != torch.get_num_threads():
            log.warning(
                "the checkpoint was saved with %s threads, and there are %d now: sums are rounded otherwise, "
                "so the weights will not be the same bit for bit; OMP_NUM_THREADS=%s makes them so",
                threads,
                torch.get_num_threads(),
                threads,
            )
        self._state.start = (epoch, batch)
        log.info("resuming at epoch %d, batch %d", epoch, batch)

    def save(self, trainer: pl.Trainer, position: tuple[int, int]) -> None:
        """Write the state under a temporary name, then rename it; a collective call."""
        last, previous = self._dir / LAST, self._dir / PREVIOUS
        self._write(trainer, position, last, lambda temporary: rotate(temporary, last, previous))
        self._saved_at = time.monotonic()
        self._votes.clear()

    def _save_if(self, trainer: pl.Trainer, position: tuple[int, int], due: bool, ask: Ask) -> None:
        """Save if it is due or late, or if the run is to end here; all ranks decide alike."""
        late, self._notice.agreed = ask(trainer, self._is_late(), self._notice.came is not None)
        if due or late or self._notice.agreed:
            self.save(trainer, position)

    def _save_best(self, trainer: pl.Trainer, position: tuple[int, int]) -> None:
        score = trainer.callback_metrics.get(self._best) if self._best else None
        if score is not None and is_better(float(score), self._best_score, self._lower_is_better):
            self._best_score = float(score)
            path = self._dir / BEST
            # Before last.ckpt: a run killed in between repeats this epoch, and writes it again.
            self._write(trainer, position, path, lambda temporary: replace(temporary, path))

    def _write(
        self, trainer: pl.Trainer, position: tuple[int, int], path: Path, finish: Callable[[Path], None]
    ) -> None:
        self._position = position
        # A fixed name: a run directory has one run, and the next save overwrites what a kill left.
        temporary = path.with_name(f".{path.name}.tmp")
        try:
            trainer.save_checkpoint(temporary)
            if trainer.is_global_zero:
                finish(temporary)
        except OSError:
            # The disk may be full: free what the incomplete file takes.
            temporary.unlink(missing_ok=True)
            raise
        # A rank that ended earlier could end the others before the file is in place.
        trainer.strategy.barrier(f"{path.name} is in place")

    def _is_late(self) -> bool:
        minutes = self._every_n_minutes
        return minutes is not None and time.monotonic() - self._saved_at >= 60 * minutes
