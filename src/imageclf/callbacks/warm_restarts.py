"""Set the learning rate of every layer group at every batch: SGDR and the other shapes."""

from collections.abc import Callable, Mapping
from typing import Any

import lightning as pl
from torch.optim import Optimizer

from imageclf.callbacks.callback import Callback, Order
from imageclf.schedule import Schedule


def set_lrs(optimizer: Optimizer, lrs: Mapping[str, float], layer_scale: Callable[[int], float]) -> None:
    """Set the learning rate of each parameter group.

    Args:
        optimizer: its parameter groups are those of `imageclf.model.parameter_groups`.
        lrs: of each layer group.
        layer_scale: further factor by the layers that a parameter group lies below the head.
    """
    for group in optimizer.param_groups:
        # The row without weight decay is named `body0/no_decay` and follows body0; only a run that decays
        # by layer knows depths.
        group["lr"] = lrs[group["name"].split("/")[0]] * layer_scale(group.get("depth", 0))


class WarmRestarts(Callback):
    """Anneal within each cycle and jump back to the peak at the next one's start.

    With accumulated gradients a step takes the learning rate of its last batch.

    Args:
        schedule: what holds at a position.
        found: the head's learning rate of each phase whose `lr` is auto; the finder fills it.
        losses: receives the validation loss of each epoch, which `shape: plateau` goes by.

    Source: SGDR, https://arxiv.org/abs/1608.03983.
    """

    order = Order.LEARNING_RATE
    is_required = True

    def __init__(self, schedule: Schedule, found: Mapping[str, float], losses: dict[int, float]) -> None:
        self._schedule = schedule
        self._found = found
        # History that a position cannot give back.
        self._losses = losses

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set the batch's learning rates."""
        module: Any = pl_module
        lrs = self._schedule.lrs(
            module.groups.names,
            trainer.current_epoch,
            batch_idx,
            int(trainer.num_training_batches),
            self._found,
            self._losses,
        )
        for optimizer in trainer.optimizers:
            set_lrs(optimizer, lrs, self._schedule.at(trainer.current_epoch).phase.layer_scale)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the validation loss, the same on every rank."""
        module: Any = pl_module
        if "val/loss" in module.scores:
            self._losses[trainer.current_epoch] = module.scores["val/loss"]

    def state_dict(self) -> dict[str, Any]:
        """Return the validation losses so far, by epoch."""
        return {str(epoch): loss for epoch, loss in self._losses.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back the losses."""
        self._losses.update({int(epoch): loss for epoch, loss in state_dict.items()})
