"""End a run at a safe point once a signal has asked for it."""

from typing import Any

import lightning as pl

from imageclf.callbacks.checkpoint import Checkpoint
from imageclf.system.signals import Notice


class Preemption(pl.Callback):
    """Raise Preempted right after the checkpoint has been saved at a safe point.

    It is the last of all callbacks, so each of them sees the batch as finished. Without the checkpoint
    callback nothing is saved, and signals end the run at once.

    Args:
        notice: the signals that the run has received; Checkpoint reads it, too.
    """

    def __init__(self, notice: Notice) -> None:
        self._notice = notice

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep Lightning from installing its handler, which waits for the other ranks inside it."""
        # No setting does: https://github.com/Lightning-AI/pytorch-lightning/pull/20825
        trainer._signal_connector.register_signal_handlers = _install_nothing  # type: ignore[method-assign]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """From now on signals wait for a safe point."""
        callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
        self._notice.waits = any(isinstance(each, Checkpoint) for each in callbacks)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Raise a Ctrl-C that Python dropped."""
        if self._notice.interrupted:
            raise KeyboardInterrupt

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


def _install_nothing() -> None:
    """Leave the handlers as they are."""
