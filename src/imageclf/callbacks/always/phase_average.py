"""Evaluate and keep a moving average of the weights in the phases that ask for it (`ema`)."""

import math
from typing import Any

import lightning as pl

from imageclf.callbacks.callback import Callback, Order
from imageclf.callbacks.ema import has_stepped
from imageclf.model.weights.averaging import State, follow
from imageclf.schedule import Schedule
from imageclf.schedule.shapes import average_decay


class PhaseAverage(Callback):
    """Average the weights over the steps of a cycle; an epoch ends with the average, and so does the cycle.

    The steps of a small set are few and noisy: the weights that they lead to are worse than their average.
    Validation, test-time augmentation, snapshots and checkpoints see the average. The next epoch of the cycle
    goes on from the weights of the last step, the next cycle from the average.
    """

    order = Order.PHASE_AVERAGE

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        # Inside an epoch the average; between two epochs of a cycle the weights of the last step. A position
        # does not determine either: they are saved in checkpoints.
        self._other: State = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Move what a checkpoint held to the model's device."""
        self._other = {name: tensor.to(pl_module.device) for name, tensor in self._other.items()}

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the average with the cycle; within it go on from the weights of the last step."""
        place = self._schedule.at(trainer.current_epoch)
        if place.phase.ema is None:
            self._other = {}
        # A checkpoint of a run without an average holds none: it starts where that run has come to.
        elif place.epoch_in_cycle == 0 or not self._other:
            self._other = _copy(pl_module)
        else:
            self._exchange(pl_module)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Let the average follow a step; after the epoch's last one take it for the model's weights."""
        place = self._schedule.at(trainer.current_epoch)
        if place.phase.ema is None:
            return
        self._other = self._other or _copy(pl_module)
        num_batches, accumulate = int(trainer.num_training_batches), trainer.accumulate_grad_batches
        if has_stepped(batch_idx, num_batches, accumulate):
            steps = math.ceil(num_batches / accumulate)
            done = place.epoch_in_cycle * steps + math.ceil((batch_idx + 1) / accumulate)
            decay = average_decay(place.phase.ema, steps, done)
            module: Any = pl_module
            follow(self._other, module.model.state_dict(), decay)
        if batch_idx + 1 == num_batches:
            self._exchange(pl_module)

    def state_dict(self) -> dict[str, Any]:
        """Return the weights that the model does not have at the moment."""
        return dict(self._other)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore them."""
        self._other = dict(state_dict)

    def _exchange(self, module: Any) -> None:
        other, self._other = self._other, _copy(module)
        module.model.load_state_dict(other)


def _copy(module: Any) -> State:
    return {name: tensor.clone() for name, tensor in module.model.state_dict().items()}
