"""Set the learning rate of every layer group at every batch: SGDR and the other shapes."""

from collections.abc import Mapping
from typing import Any

import lightning as pl
from torch.optim import Optimizer

from imageclf import InputError
from imageclf.callbacks.callback import Callback, Order
from imageclf.schedule import RunState, Schedule


def depths_of(optimizer: Optimizer) -> dict[str, int]:
    """Return how many layers each parameter group lies below the head; 0 where no phase decays by layer."""
    return {group["name"]: group.get("depth", 0) for group in optimizer.param_groups}


def set_lrs(optimizer: Optimizer, lrs: Mapping[str, float]) -> None:
    """Set the learning rate of each parameter group, by its name."""
    for group in optimizer.param_groups:
        group["lr"] = lrs[group["name"]]


def set_momentum(optimizer: Optimizer, momentum: float | None) -> None:
    """Set the momentum of all parameter groups: of Adam and its like the first beta.

    Args:
        optimizer: to set it of.
        momentum: None: what the optimizer was made with.

    Raises:
        InputError: it has none.
    """
    defaults = optimizer.defaults
    if momentum is None:
        values: dict[str, Any] = {key: defaults[key] for key in ("betas", "momentum") if key in defaults}
    elif "betas" in defaults:
        values = {"betas": (momentum, *defaults["betas"][1:])}
    elif "momentum" in defaults:
        values = {"momentum": momentum}
    else:
        name = type(optimizer).__name__
        raise InputError(f"moms of a phase: the optimizer {name} has no momentum; give moms=null")
    for group in optimizer.param_groups:
        group.update(values)


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
        self._cycles_momentum = any(phase.moms is not None for phase in schedule.phases.values())

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set the batch's learning rates, and its momentum if any phase changes that."""
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
            if self._cycles_momentum:
                momentum = self._schedule.momentum(
                    trainer.current_epoch, batch_idx, int(trainer.num_training_batches)
                )
                set_momentum(optimizer, momentum)

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
