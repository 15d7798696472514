"""Show how far an epoch is, and how long the rest of the run takes."""

import logging
from contextlib import ExitStack
from typing import Any

import lightning as pl

from imageclf.callbacks.callback import data_of
from imageclf.callbacks.lr_finder import LrFinder
from imageclf.callbacks.snapshots import Snapshots
from imageclf.callbacks.tta import TTA
from imageclf.data import ImageData
from imageclf.schedule import Schedule, Workload, kind_of, passes_left, seconds_of
from imageclf.system.progress import Kind, display, duration

log = logging.getLogger(__name__)

# Batches that warm up the machine or are timed, before the rest of the run is estimated.
_FIRST = 10
# Seconds.
_WORTH_SAYING = 10.0


class ShowProgress(pl.Callback):
    """Open a step for each epoch and each validation; after all callbacks that have steps of their own.

    Nothing is read from the device: times are those at which the batches come.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._display = display()
        self._steps = ExitStack()
        self._advance: Any = None
        self._is_announced = False

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget what another run of this process has measured."""
        self._display.forget()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Open the epoch's step, and estimate how long the run takes from here."""
        self._estimate(trainer, trainer.current_epoch, 0.0)
        self._open_epoch(trainer, 0)

    def _open_epoch(self, trainer: pl.Trainer, first: int) -> None:
        epoch, data = trainer.current_epoch, data_of(trainer)
        place, size = self._schedule.at(epoch), data.size_of(self._schedule.at(epoch))
        batch_size = (place.batch_size or data.loading.pictures_a_step) * trainer.world_size
        most = min(len(data.table.rows("train")), int(trainer.num_training_batches) * batch_size)
        pictures = max(0, most - first * batch_size)
        cycles = f", cycle {place.cycle + 1} of {place.phase.n_cycles}" if place.phase.n_cycles > 1 else ""
        name = f"epoch {epoch}, {place.name}{cycles}, {size} px"
        self._open(name, pictures, kind_of(place.phase, size))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add the batch's pictures."""
        # Lightning does not call the hook of an epoch's start where a run resumes inside one.
        if self._advance is None:
            self._open_epoch(trainer, batch_idx)
        self._advance(batch.total)
        # An estimate by the first epoch's whole time would come too late to be of use.
        if batch_idx + 1 == _FIRST:
            done = _FIRST / float(trainer.num_training_batches)
            self._announce(trainer, trainer.current_epoch, done)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the epoch's step, and open that of its validation."""
        self._close()
        data = data_of(trainer)
        place = self._schedule.at(trainer.current_epoch)
        kind = "features" if place.phase.precompute else "evaluation"
        self._open("validation", len(data.table.rows("valid")), (kind, data.size_of(place)))

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add the batch's pictures, those of the other ranks too."""
        self._advance(len(batch.rows) * trainer.world_size)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the validation's step."""
        self._close()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the epoch's step where there is no validation, and tell how long the rest takes."""
        self._close()
        self._announce(trainer, trainer.current_epoch + 1, 0.0)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget when the run ends."""
        self._display.run_ends = None

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Remove the line."""
        self._close()
        self._display.run_ends = None

    def _open(self, name: str, pictures: int, kind: Kind) -> None:
        self._advance = self._steps.enter_context(self._display.track(name, pictures, kind=kind))

    def _close(self) -> None:
        self._steps.close()
        self._advance = None

    def _announce(self, trainer: pl.Trainer, epoch: int, done: float) -> None:
        """Log how long the rest takes, once, as soon as what has been measured says so."""
        if self._is_announced:
            return
        left = self._estimate(trainer, epoch, done)
        self._is_announced = left is not None
        if left is not None and left >= _WORTH_SAYING and trainer.is_global_zero:
            log.info("the rest of the run takes about %s on this machine", duration(left))

    def _estimate(self, trainer: pl.Trainer, epoch: int, done: float) -> float | None:
        passes = passes_left(self._schedule, workload_of(trainer), epoch, done)
        left = seconds_of(passes, self._display.measured)
        self._display.run_ends = None if left is None else self._display.clock() + left
        return left


def workload_of(trainer: pl.Trainer) -> Workload:
    """Return what a run does besides its epochs, by its data and callbacks."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return workload(
        data_of(trainer),
        num_steps=sum(each.num_steps or 0 for each in callbacks if isinstance(each, LrFinder)),
        num_views=sum(each.num_views for each in callbacks if isinstance(each, TTA)),
        compares=any(isinstance(each, Snapshots) for each in callbacks),
        num_ranks=trainer.world_size,
    )


def workload(data: ImageData, num_steps: int, num_views: int, compares: bool, num_ranks: int = 1) -> Workload:
    """Return what a run does besides its epochs, in pictures.

    `num_steps` are those of a search for a learning rate; 0: none, or nobody knows how many. `num_views` are
    those of each validation picture at a cycle's end, the plain one among them; 0: none. `compares` says
    whether candidates are compared at the end.
    """
    return Workload(
        train=len(data.table.rows("train")),
        valid=len(data.table.rows("valid")),
        search=num_steps * data.loading.pictures_a_step * num_ranks,
        views=max(0, num_views - 1),
        size=data.loading.size,
        compares=compares,
    )
