"""Larger pictures in later phases: log when their size changes."""

import logging

import lightning as pl

from imageclf.callbacks.callback import Callback, Order, data_of
from imageclf.schedule import Phase, Schedule

log = logging.getLogger(__name__)


class ProgressiveResizing(Callback):
    """Log each change of the picture size; the data itself takes the size from the schedule.

    Source: `learn.set_data(get_data(299, bs))` of fastai 0.7, which also froze the body; here the phase's
    `unfreeze_to` decides that.
    """

    order = Order.PREPARE

    # The data follows the schedule without it. A phase with a size needs it all the same, so that the log
    # never leaves out that the pictures changed.
    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule

    @classmethod
    def is_needed_by(cls, phase: Phase) -> bool:
        """Return whether a phase sets the size of its pictures."""
        return phase.size is not None

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the size if it is not that of the epoch before."""
        epoch, size_of = trainer.current_epoch, data_of(trainer).size_of
        size = size_of(self._schedule.at(epoch))
        if epoch > 0 and size != size_of(self._schedule.at(epoch - 1)):
            log.info("pictures are %s px from here on", size)
