"""End a run whose loss or weights are no finite numbers any more, before they are saved."""

import math
from typing import Any, NamedTuple

import lightning as pl
import torch
from torch import Tensor

from imageclf.callbacks.callback import Callback, Order
from imageclf.data import ImageData
from imageclf.schedule import Schedule

# More would bury the message.
_NAMED = 5
# Steps between two looks at their losses, by type of device: each look waits for the device.
LOOK_EVERY = {"cpu": 1}
_ELSEWHERE = 50


class _Step(NamedTuple):
    """A step whose loss nobody has looked at."""

    batch: int
    rows: Tensor
    loss: Tensor


class TerminateOnNan(Callback):
    """Raise where a training loss is NaN or infinite; no checkpoint or snapshot is written with such values.

    On the CPU it raises before the gradients are computed. A GPU would have to finish its queue at every
    step, so there the losses of 50 steps are looked at together, and all of them, with the weights, before
    anything is saved.

    Args:
        schedule: what holds at an epoch.

    Raises:
        FloatingPointError: such a loss; the message names the position, the learning rates and pictures.

    Source: `TerminateOnNaNCallback` of fastai 2, which stops after the update.
    """

    order = Order.GUARD

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._current: tuple[int, Tensor] = (0, torch.zeros(0, dtype=torch.long))
        self._unseen: list[_Step] = []

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Remember which pictures the loss will be of."""
        self._current = (batch_idx, batch.rows)

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Note the loss, and look at it where that costs nothing."""
        self._unseen.append(_Step(*self._current, loss.detach()))
        if len(self._unseen) >= LOOK_EVERY.get(loss.device.type, _ELSEWHERE):
            self._raise(self._look(trainer))

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look before weights that are no numbers are validated."""
        self._check(trainer, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look before a snapshot is written."""
        self._check(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Look before a checkpoint is written."""
        self._check(trainer, pl_module)

    def _check(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Raise on all ranks alike if any of them has seen such a number; a collective call."""
        mistake = self._look(trainer) or self._look_at_weights(trainer, module)
        if not trainer.strategy.reduce_boolean_decision(not mistake, all=True):
            # Each rank has its own losses: the first one that knows what is wrong tells the others.
            said = [trainer.strategy.broadcast(mistake, src=rank) for rank in range(trainer.world_size)]
            self._raise(next(text for text in said if text))

    def _look(self, trainer: pl.Trainer) -> str:
        """Return what is wrong with the losses since the last look, or nothing."""
        steps, self._unseen = self._unseen, []
        if not steps:
            return ""
        losses = torch.stack([step.loss for step in steps])
        finite = torch.isfinite(losses).tolist()
        return "" if all(finite) else self._message(trainer, steps[finite.index(False)])

    def _look_at_weights(self, trainer: pl.Trainer, module: pl.LightningModule) -> str:
        # Gradients can overflow although the loss does not.
        if is_finite(module):
            return ""
        name = self._schedule.at(trainer.current_epoch).name
        return (
            f"the weights are not finite after epoch {trainer.current_epoch}, batch {self._current[0]} "
            f"of phase {name}: {self._remedy(name)}"
        )

    def _message(self, trainer: pl.Trainer, step: _Step) -> str:
        data: ImageData = trainer.datamodule  # type: ignore[attr-defined]
        name = self._schedule.at(trainer.current_epoch).name
        rates = {group["name"]: group["lr"] for group in trainer.optimizers[0].param_groups}
        shown = ", ".join(f"{group} {lr:.2g}" for group, lr in rates.items() if "/" not in group)
        ids = data.table.frame["id"].iloc[step.rows[:_NAMED].cpu().numpy()]
        return (
            f"the training loss is {float(step.loss)} at epoch {trainer.current_epoch}, batch {step.batch} "
            f"of phase {name} (learning rates {shown}; pictures {', '.join(ids)}, ...): {self._remedy(name)}"
        )

    def _remedy(self, name: str) -> str:
        return (
            f"lower schedule.phases.{name}.lr, set trainer.gradient_clip_val=1, or take "
            "trainer.precision=32-true; the last checkpoint is of a step before it"
        )

    def _raise(self, mistake: str) -> None:
        if mistake:
            raise FloatingPointError(mistake)


def is_finite(module: torch.nn.Module) -> bool:
    """Return whether all parameters and buffers are finite numbers; a device is waited for once."""
    tensors = [*module.parameters(), *(each for each in module.buffers() if each.is_floating_point())]
    # The largest of all values is NaN or infinite if any is; one kernel looks at many tensors.
    largest = torch.nn.utils.get_total_norm([each.detach() for each in tensors], norm_type=math.inf)
    return bool(torch.isfinite(largest))
