"""Set the learning rate of every layer group at every batch: SGDR and the other shapes."""

from collections.abc import Mapping
from typing import Any

import lightning as pl
from torch.optim import Optimizer

from imageclf.callbacks.callback import Callback, Order
from imageclf.schedule import RunState, Schedule


def depths_of(optimizer: Optimizer) -> dict[str, int]:
    """Return how many layers each parameter group lies below the head; 0 where no phase decays by layer."""
    return {group["name"]: group.get("depth", 0) for group in optimizer.param_groups}


def set_lrs(optimizer: Optimizer, lrs: Mapping[str, float]) -> None:
    """Set the learning rate of each parameter group, by its name."""
    for group in optimizer.param_groups:
        group["lr"] = lrs[group["name"]]


class WarmRestarts(Callback):
    """Anneal within each cycle and jump back to the peak at the start of the next one.

    With accumulated gradients a step takes the learning rate of its last batch.

    Args:
        state: of the run; receives the validation loss of each epoch, for `shape: plateau`.

    Source: SGDR, https://arxiv.org/abs/1608.03983.
    """

    order = Order.LEARNING_RATE
    is_required = True

    def __init__(self, schedule: Schedule, state: RunState) -> None:
        self._schedule = schedule
        self._state = state

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set the batch's learning rates."""
        module: Any = pl_module
        for optimizer in trainer.optimizers:
            lrs = self._schedule.lrs(
                module.groups.names,
                trainer.current_epoch,
                batch_idx,
                int(trainer.num_training_batches),
                self._state.found_lrs,
                self._state.val_losses,
                depths_of(optimizer),
            )
            set_lrs(optimizer, lrs)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Remember the validation loss, which is the same on every rank."""
        if "val/loss" in self._state.scores:
            self._state.val_losses[trainer.current_epoch] = self._state.scores["val/loss"]

    def state_dict(self) -> dict[str, Any]:
        """Return the validation losses so far, by epoch."""
        return {str(epoch): loss for epoch, loss in self._state.val_losses.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the validation losses."""
        self._state.val_losses.update({int(epoch): loss for epoch, loss in state_dict.items()})
