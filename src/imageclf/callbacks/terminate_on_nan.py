"""Stop before a loss that is not a number reaches the weights."""

from typing import Any

import lightning as pl
import torch
from torch import Tensor

from imageclf.data import ImageData
from imageclf.schedule import Schedule

# More would bury the message.
_NAMED = 5


class TerminateOnNan(pl.Callback):
    """Raise where a training loss is NaN or infinite, before its gradients are computed.

    The weights and the last checkpoint are those of the steps before. It reads a number from the device
    at every step: a GPU that must not wait for that goes without, by `~callbacks.terminate_on_nan`.

    Args:
        schedule: what holds at an epoch.

    Raises:
        FloatingPointError: such a loss; the message names the position, the learning rates and pictures.

    Source: `TerminateOnNaNCallback` of fastai 2, which stops after the update.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._rows: Tensor = torch.zeros(0, dtype=torch.long)
        self._batch = 0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Remember which pictures the loss will be of."""
        self._rows, self._batch = batch.rows, batch_idx

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Look at the loss."""
        if not bool(torch.isfinite(loss)):
            raise FloatingPointError(self._message(trainer, float(loss.detach())))

    def _message(self, trainer: pl.Trainer, loss: float) -> str:
        data: ImageData = trainer.datamodule  # type: ignore[attr-defined]
        name = self._schedule.at(trainer.current_epoch).name
        rates = {group["name"]: group["lr"] for group in trainer.optimizers[0].param_groups}
        shown = ", ".join(f"{group} {lr:.2g}" for group, lr in rates.items() if "/" not in group)
        ids = data.table.frame["id"].iloc[self._rows[:_NAMED].cpu().numpy()]
        return (
            f"the training loss is {loss} at epoch {trainer.current_epoch}, batch {self._batch} of phase "
            f"{name} (learning rates {shown}; pictures {', '.join(ids)}, ...): lower "
            f"schedule.phases.{name}.lr, set trainer.gradient_clip_val=1, or take trainer.precision=32-true; "
            "the last checkpoint is of a step before it"
        )
