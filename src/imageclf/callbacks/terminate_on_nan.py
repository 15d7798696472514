"""End a run whose loss or weights are no longer finite, before they are saved."""

import math
from typing import Any

import lightning as pl
import torch
from torch import Tensor

from imageclf.callbacks.callback import Callback, Order, data_of
from imageclf.schedule import Schedule
from imageclf.system.errors import RunError

# How many pictures of the batch the message names.
_NAMED = 5
# Steps between two checks of their losses, by type of device: each check waits for the device.
CHECK_EVERY = {"cpu": 1}
_ELSEWHERE = 50


class NotFiniteError(RunError, FloatingPointError):
    """A loss or weights are NaN or infinite."""


class TerminateOnNan(Callback):
    """Raise where a training loss is NaN or infinite, so that no checkpoint or snapshot has such values.

    On the CPU it raises before the gradients are computed. A GPU would have to finish its queue at every
    step, so there the losses of 50 steps are checked together, and always before anything is saved.

    Raises:
        NotFiniteError: such a loss; the message names the position, the learning rates and pictures.

    Source: `TerminateOnNaNCallback` of fastai 2, which stops after the update.
    """

    order = Order.GUARD

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._batch, self._rows = 0, torch.zeros(0, dtype=torch.long)
        # (batch, rows, loss) of each step whose loss has not been checked yet.
        self._unchecked: list[tuple[int, Tensor, Tensor]] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Keep the batch's pictures, to name them."""
        self._batch, self._rows = batch_idx, batch.rows

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Check the loss, on a GPU together with those of other steps."""
        self._unchecked.append((self._batch, self._rows, loss.detach()))
        if len(self._unchecked) >= CHECK_EVERY.get(loss.device.type, _ELSEWHERE):
            raise_if(self._mistake_in_losses(trainer))

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check before weights that are not finite are validated."""
        self._check(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check before a snapshot is written."""
        self._check(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Check before a checkpoint is written."""
        self._check(trainer, pl_module)

    def _check(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Raise on all ranks if any of them has such a value; a collective call."""
        mistake = self._mistake_in_losses(trainer) or self._mistake_in_weights(trainer, module)
        if not trainer.strategy.reduce_boolean_decision(not mistake, all=True):
            # Each rank has its own losses: all raise with the message of the first that has one.
            messages = [trainer.strategy.broadcast(mistake, src=rank) for rank in range(trainer.world_size)]
            raise_if(next(text for text in messages if text))

    def _mistake_in_losses(self, trainer: pl.Trainer) -> str:
        """Return a message about the losses since the last check, or nothing."""
        steps, self._unchecked = self._unchecked, []
        if not steps:
            return ""
        finite = torch.isfinite(torch.stack([loss for _, _, loss in steps])).tolist()
        return "" if all(finite) else self._message(trainer, *steps[finite.index(False)])

    def _mistake_in_weights(self, trainer: pl.Trainer, module: pl.LightningModule) -> str:
        # Gradients can overflow although the loss does not.
        if is_finite(module):
            return ""
        name = self._schedule.at(trainer.current_epoch).name
        return (
            f"the weights are not finite after epoch {trainer.current_epoch}, batch {self._batch} "
            f"of phase {name}: {self._remedy(name)}"
        )

    def _message(self, trainer: pl.Trainer, batch: int, rows: Tensor, loss: Tensor) -> str:
        name = self._schedule.at(trainer.current_epoch).name
        rates = {group["name"]: group["lr"] for group in trainer.optimizers[0].param_groups}
        shown = ", ".join(f"{group} {lr:.2g}" for group, lr in rates.items() if "/" not in group)
        ids = data_of(trainer).table.frame["id"].iloc[rows[:_NAMED].cpu().numpy()]
        return (
            f"the training loss is {float(loss)} at epoch {trainer.current_epoch}, batch {batch} "
            f"of phase {name} (learning rates {shown}; pictures {', '.join(ids)}, ...): {self._remedy(name)}"
        )

    def _remedy(self, name: str) -> str:
        return (
            f"lower schedule.phases.{name}.lr, set trainer.gradient_clip_val=1, or take "
            "trainer.precision=32-true; the last checkpoint is of a step before it"
        )


def raise_if(mistake: str) -> None:
    """Raise an error with a message, if there is one."""
    if mistake:
        raise NotFiniteError(mistake)


def is_finite(module: torch.nn.Module) -> bool:
    """Return whether all parameters and buffers are finite; it waits for the device once."""
    tensors = [*module.parameters(), *(each for each in module.buffers() if each.is_floating_point())]
    # The largest absolute value is NaN or infinite if any value is; one kernel goes through many tensors.
    largest = torch.nn.utils.get_total_norm([each.detach() for each in tensors], norm_type=math.inf)
    return bool(torch.isfinite(largest))
