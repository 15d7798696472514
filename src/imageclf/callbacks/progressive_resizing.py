"""Bigger pictures in later phases: the data pulls the size, this callback makes sure the model takes it."""

import logging

import lightning as pl

from imageclf.callbacks.callback import Callback, Order
from imageclf.data import ImageData
from imageclf.schedule import Phase, Schedule

log = logging.getLogger(__name__)


def size_changes(schedule: Schedule, size: int) -> dict[int, int]:
    """Return the pixels a side by the epoch from which they hold.

    Args:
        schedule: the run.
        size: pixels a side where a phase names none.

    >>> from imageclf.schedule import Phase
    >>> size_changes(Schedule({"small": Phase(n_cycles=2), "big": Phase(size=160)}), 128)
    {0: 128, 2: 160}
    """
    changes: dict[int, int] = {}
    for epoch in range(schedule.epochs):
        current = schedule.at(epoch).size or size
        if not changes or current != changes[max(changes)]:
            changes[epoch] = current
    return changes


class ProgressiveResizing(Callback):
    """Announce each change of the picture size.

    Args:
        schedule: what holds at an epoch.

    Source: `learn.set_data(get_data(299, bs))` of fastai 0.7, which froze the body besides; here only
    the phase's `unfreeze_to` does that.
    """

    order = Order.PREPARE

    @classmethod
    def is_needed_by(cls, phase: Phase) -> bool:
        """Return whether a phase sets the size of its pictures."""
        return phase.size is not None

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say the new size at its first epoch."""
        data: ImageData = trainer.datamodule  # type: ignore[attr-defined]
        changes = size_changes(self._schedule, data.loading.size)
        # The first size is no change.
        if trainer.current_epoch in changes and trainer.current_epoch > 0:
            log.info("pictures are %d px from here on", changes[trainer.current_epoch])
