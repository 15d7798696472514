"""Say how long compiling took."""

import logging

import lightning as pl

from imageclf.model.compiling import CompileClock
from imageclf.schedule import Schedule

log = logging.getLogger(__name__)


class CompileLog(pl.Callback):
    """Log a line at the end of each phase that compiled anything; the last in order, to see what others do.

    Args:
        schedule: what holds at an epoch.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._clock = CompileClock()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Start the clock."""
        self._clock.start()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log at a phase's end."""
        place = self._schedule.at(trainer.current_epoch)
        if place.epoch == place.phase.epochs - 1:
            self._say(trainer, f"phase {place.name}")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log what came after the last phase, or of one that was stopped."""
        self._say(trainer, "the end of the run")

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Stop the clock."""
        self._clock.stop()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Stop the clock: the process may go on with another run."""
        self._clock.stop()

    def _say(self, trainer: pl.Trainer, when: str) -> None:
        count, seconds = self._clock.take()
        if seconds > 0 and trainer.is_global_zero:
            times = f"{count} graph{'' if count == 1 else 's'}"
            log.info("%s: compiled %s of the body in %.1f s", when, times, seconds)
