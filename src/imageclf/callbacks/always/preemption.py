"""End a run: after its last step, or at a safe point once a signal has asked for it."""

from typing import Any

import lightning as pl

from imageclf.callbacks.callback import data_of
from imageclf.callbacks.checkpoint import Checkpoint
from imageclf.system.signals import Notice


class Finish(pl.Callback):
    """Let signals end the run at once after its last step; the first callback.

    Work at the end of a run belongs in `on_train_end`, while the model is on its device: before `on_fit_end`
    Lightning moves it to the CPU. A run without a step left skips the loop and with it `on_train_end`, so
    this callback calls the hook.
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


class Preemption(pl.Callback):
    """End the run right after the checkpoint has been saved at a safe point.

    It is the last of all callbacks, so each of them sees the batch as finished. Without the checkpoint
    callback, which reads the same notice, nothing is saved, and signals end the run at once.
    """

    def __init__(self, notice: Notice) -> None:
        self._notice = notice

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """From now on signals wait for a safe point."""
        callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        self._notice.waits = any(isinstance(each, Checkpoint) for each in callbacks)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Raise once more what Python dropped."""
        if self._notice.at_once:
            self._notice.end()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """End the run if it has been saved to end here."""
        if self._notice.agreed:
            self._notice.end()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End the run if it has been saved to end here."""
        if self._notice.agreed:
            self._notice.end()
