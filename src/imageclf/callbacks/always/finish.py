"""Begin the end of a run, also of one that was killed between its last step and its summary."""

import lightning as pl

from imageclf.data import ImageData
from imageclf.system.signals import Notice


class Finish(pl.Callback):
    """Let signals end the run at once from now on; comes before every callback with work at the end.

    That work belongs in `on_train_end`, while the model is on its device: before `on_fit_end` Lightning
    moves it to the CPU. A run that has no step left skips the loop and with it `on_train_end`, so the hook
    is called from here.

    Args:
        notice: what signals have said.
    """

    def __init__(self, notice: Notice) -> None:
        self._notice = notice

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Finish a run whose training is complete; the weights are restored by now."""
        data: ImageData = trainer.datamodule  # type: ignore[attr-defined]
        if data.is_complete:
            callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
            for callback in callbacks:
                callback.on_train_end(trainer, pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Wait for no safe point any more: what follows can be run again."""
        self._notice.waits = False
        if self._notice.came is not None:
            self._notice.end()
