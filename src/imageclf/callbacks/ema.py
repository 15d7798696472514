"""Keep a moving average of the weights, which is one of the candidates at the end."""

from pathlib import Path
from typing import Any

import lightning as pl
from timm.utils.model_ema import ModelEmaV3

from imageclf import InputError
from imageclf.callbacks.callback import Callback, Order
from imageclf.evaluation.candidates import SnapshotFolder


def has_stepped(batch: int, num_batches: int, accumulate: int) -> bool:
    """Return whether the optimizer steps at the end of a batch; at an epoch's last one it always does.

    >>> [batch for batch in range(5) if has_stepped(batch, 5, 2)]
    [1, 3, 4]
    """
    return (batch + 1) % accumulate == 0 or batch + 1 == num_batches


class Ema(Callback):
    """Average weights and batch norm statistics over the steps, and save them as `snapshots/ema.ckpt`.

    Args:
        decay: share of the average that each optimizer step keeps, in (0, 1); early steps keep less, so
            that the first weights soon fade. None: no average.

    Raises:
        InputError: `decay` is outside its range.

    Source: `timm.utils.ModelEmaV3` with its warm-up; https://arxiv.org/abs/1703.01780.
    """

    order = Order.AVERAGE

    def __init__(self, run_dir: Path, decay: float | None) -> None:
        if decay is not None and not 0 < decay < 1:
            raise InputError(f"callbacks.ema.decay={decay}: give a number between 0 and 1, or null for none")
        self._folder = SnapshotFolder(run_dir / "snapshots")
        self._decay = decay
        # A position does not determine it: it is saved in checkpoints.
        self._average: ModelEmaV3 | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Start from the first weights; a checkpoint is restored after this."""
        if self._decay is not None:
            self._average = ModelEmaV3(pl_module.model, decay=self._decay, use_warmup=True)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Move the average to the model's device."""
        if self._average is not None:
            self._average.to(pl_module.device)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Update the average if the optimizer has stepped."""
        num_batches = int(trainer.num_training_batches)
        # timm's warm-up takes the step from here, so a run that goes on averages as if it had never stopped.
        if self._average and has_stepped(batch_idx, num_batches, trainer.accumulate_grad_batches):
            self._average.update(pl_module.model, step=trainer.global_step)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the average for Snapshots to compare."""
        module: Any = pl_module
        if self._average is not None:
            self._folder.save(trainer, "ema", module, self._average.module.state_dict)

    def state_dict(self) -> dict[str, Any]:
        """Return the average."""
        return {} if self._average is None else dict(self._average.module.state_dict())

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the average."""
        if self._average is not None:
            self._average.module.load_state_dict(state_dict)
