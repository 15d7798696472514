"""Test-time augmentation: look at each picture several times and average what is seen."""

from typing import Any, Literal

import lightning as pl
import torch

from imageclf import InputError
from imageclf.callbacks.evaluation import current_predictions, predict, view_probabilities
from imageclf.data import ImageData
from imageclf.model import Predictions
from imageclf.schedule import Schedule


def augmented_views(num_augmented: int) -> tuple[int, ...]:
    """Return the augmented views of a picture; 0 is the picture as it is.

    >>> augmented_views(4)
    (1, 2, 3, 4)
    """
    return tuple(range(1, num_augmented + 1))


class TTA(pl.Callback):
    """Validate with the mean probability over each picture and its augmented views.

    Args:
        schedule: what holds at an epoch.
        num_augmented: views besides the picture itself, all of equal weight.
        when: cycle: at each cycle's end; end: after the run only; epoch: at every epoch. The end is
            always among them.

    Raises:
        InputError: `num_augmented` is negative.

    Source: `learn.TTA(n_aug=4)` of fastai 0.7.
    """

    def __init__(
        self, schedule: Schedule, num_augmented: int, when: Literal["cycle", "end", "epoch"]
    ) -> None:
        if num_augmented < 0:
            raise InputError(f"callbacks.tta.num_augmented={num_augmented}: give a whole number from 0")
        self._schedule = schedule
        self._num_augmented = num_augmented
        self._when = when
        # The scores of the last validation, so that the end of the run need not look again.
        self._latest: tuple[int, dict[str, float]] = (-1, {})

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record val/acc_tta and val/loss_tta where they are due."""
        if self._is_due(trainer.current_epoch):
            scores = self._score(trainer, pl_module, trainer.current_epoch)
            self._latest = (trainer.global_step, scores)
            for name, value in scores.items():
                pl_module.record(name, value)  # type: ignore[operator]

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Score the final weights."""
        data: ImageData = trainer.datamodule  # type: ignore[attr-defined]
        if data.has_validation:
            step, scores = self._latest
            if step != trainer.global_step:
                scores = self._score(trainer, pl_module, self._schedule.epochs - 1)
            pl_module.results |= scores  # type: ignore[operator]

    def _is_due(self, epoch: int) -> bool:
        is_cycle_end = self._schedule.at(epoch).is_cycle_end
        return self._when == "epoch" or (self._when == "cycle" and is_cycle_end)

    def _score(self, trainer: pl.Trainer, module: Any, epoch: int) -> dict[str, float]:
        data: ImageData = trainer.datamodule  # type: ignore[attr-defined]
        size = data.size_of(self._schedule.at(epoch).phase)
        plain = current_predictions(trainer, module, data, size)
        if self._num_augmented > 0:
            views = augmented_views(self._num_augmented)
            # The same pictures: trainer.limit_val_batches may have left some out.
            augmented = predict(trainer, module, data, "valid", size, views, only=plain.rows)
            mean = mean_with(plain, augmented, self._num_augmented)
        else:
            mean = plain
        return {"val/acc_tta": mean.accuracy, "val/loss_tta": mean.loss}


def mean_with(plain: Predictions, augmented: Predictions, num_augmented: int) -> Predictions:
    """Return the mean probability over the plain view and the augmented ones, all of equal weight.

    Args:
        plain: a row per picture.
        augmented: as many rows per picture as follow.
        num_augmented: augmented views of each picture, at least 1.
    """
    # The plain view counts as much as each other one: 1 / 5 with four.
    views = view_probabilities(augmented, num_augmented)
    return plain._replace(probabilities=torch.cat([plain.probabilities[:, None], views], dim=1).mean(1))
