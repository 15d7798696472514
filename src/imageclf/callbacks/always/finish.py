"""End a run, also one that was killed between its last step and its summary."""

import lightning as pl

from imageclf.callbacks.callback import data_of
from imageclf.system.signals import Notice


class Finish(pl.Callback):
    """Let signals end the run at once after its last step; the first callback.

    Work at the end of a run belongs in `on_train_end`, while the model is on its device: before `on_fit_end`
    Lightning moves it to the CPU. A run without a step left skips the loop and with it `on_train_end`, so
    this callback calls the hook.

    Args:
        notice: the signals that the run has received.
    """

    def __init__(self, notice: Notice) -> None:
        self._notice = notice

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Finish a run whose training is complete; its weights have been restored."""
        if data_of(trainer).is_complete:
            callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
            for callback in callbacks:
                callback.on_train_end(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """No longer wait for a safe point: what follows can be repeated."""
        self._notice.waits = False
        if self._notice.came is not None:
            self._notice.end()
