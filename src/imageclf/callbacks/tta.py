"""Test-time augmentation: look at each picture several times and average what is seen."""

import logging
from pathlib import Path
from typing import Any, Literal, NamedTuple

import lightning as pl
import numpy as np
import torch
from torch import Tensor

from imageclf import InputError
from imageclf.callbacks.callback import Callback, Order
from imageclf.data import ImageData
from imageclf.evaluation.predicting import current_predictions, predict, view_probabilities, weighted_mean
from imageclf.evaluation.presets import Preset, WeightedViews, weighted_views
from imageclf.model import Predictions
from imageclf.schedule import Schedule
from imageclf.system.files import write_atomically

log = logging.getLogger(__name__)


class Seen(NamedTuple):
    """What one validation with all views has seen.

    Args:
        plain: predictions of the plain view.
        views: probabilities of every view, `[N, V, C]`, or None where they are not kept.
        scores: val/acc_tta, val/loss_tta and val/acc_tta_gain.
    """

    plain: Predictions
    views: Tensor | None
    scores: dict[str, float]


class TTA(Callback):
    """Validate with the weighted mean probability over a picture's views.

    Args:
        schedule: what holds at an epoch.
        run_dir: receives `predictions/valid_views.npz`, if asked to.
        views: fastai07: the plain view and drawn ones, all of equal weight; fastai2: a quarter of the
            weight is the plain view's; fastai1: the four corners and their mirror images, zoomed;
            five_crops: centre, corners and their mirror images.
        num_augmented: views besides the plain one; of fastai07 and fastai2.
        beta: weight of the plain view, 0 to 1; None: that of `views`.
        when: cycle: at each cycle's end; end: after the run only; epoch: at every epoch. The end is
            always among them.
        keep_views: write what each view of the final weights predicts.

    Raises:
        InputError: a number is outside its range.

    Source: `learn.TTA(n_aug=4)` of fastai 0.7; see `imageclf.evaluation.presets`.
    """

    order = Order.EVALUATE

    def __init__(
        self,
        schedule: Schedule,
        run_dir: Path,
        views: Preset,
        num_augmented: int,
        beta: float | None,
        when: Literal["cycle", "end", "epoch"],
        keep_views: bool,
    ) -> None:
        try:
            self._views = weighted_views(views, num_augmented, beta)
        except InputError as error:
            raise InputError(f"callbacks.tta.{error}") from error
        self._schedule = schedule
        self._path = run_dir / "predictions" / "valid_views.npz"
        self._when = when
        self._keep_views = keep_views
        # The last validation, by its step, so that the end of the run need not look again.
        self._latest: dict[int, Seen] = {}

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record val/acc_tta, val/loss_tta and val/acc_tta_gain where they are due."""
        if self._is_due(trainer.current_epoch):
            seen = self._look(trainer, pl_module, trainer.current_epoch)
            self._latest = {trainer.global_step: seen}
            for name, value in seen.scores.items():
                pl_module.record(name, value)  # type: ignore[operator]

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Score the final weights."""
        data: ImageData = trainer.datamodule  # type: ignore[attr-defined]
        if not data.has_validation:
            return
        seen = self._latest.get(trainer.global_step)
        if seen is None:
            seen = self._look(trainer, pl_module, data.last_epoch)
        pl_module.results |= seen.scores  # type: ignore[operator]
        gain, accuracy = seen.scores["val/acc_tta_gain"], seen.scores["val/acc_tta"]
        log.info("tta: %d views, val/acc %.4f, gain %+.4f", len(self._views.numbers), accuracy, gain)
        if seen.views is not None and trainer.is_global_zero:
            ids = data.table.frame["id"].iloc[seen.plain.rows.numpy()]
            write_views(self._path, seen.plain.rows, list(ids), self._views, seen.views)

    def _is_due(self, epoch: int) -> bool:
        is_cycle_end = self._schedule.at(epoch).is_cycle_end
        return self._when == "epoch" or (self._when == "cycle" and is_cycle_end)

    def _look(self, trainer: pl.Trainer, module: Any, epoch: int) -> Seen:
        data: ImageData = trainer.datamodule  # type: ignore[attr-defined]
        size = data.size_of(self._schedule.at(epoch))
        # The plain view has been seen by validation already.
        plain = current_predictions(trainer, module, data, size)
        views = plain.probabilities[:, None]
        numbers = self._views.numbers[1:]
        if numbers:
            # The same pictures: trainer.limit_val_batches may have left some out.
            others = predict(trainer, module, data, "valid", size, numbers, only=plain.rows)
            views = torch.cat([views, view_probabilities(others, len(numbers))], dim=1)
        mean = plain._replace(probabilities=weighted_mean(views, self._views.weights))
        return Seen(plain, views if self._keep_views else None, gains(plain, mean))


def gains(plain: Predictions, mean: Predictions) -> dict[str, float]:
    """Return the scores of the mean over the views, and what it gains over the plain view alone."""
    return {
        "val/acc_tta": mean.accuracy,
        "val/loss_tta": mean.loss,
        "val/acc_tta_gain": mean.accuracy - plain.accuracy,
    }


def write_views(path: Path, rows: Tensor, ids: list[str], views: WeightedViews, seen: Tensor) -> None:
    """Write rows and ids `[N]`, numbers and weights of the views `[V]`, and probabilities `[N, V, C]`."""

    def write(temporary: Path) -> None:
        """Write the arrays under a temporary name."""
        # By an open file: to a name savez would add .npz.
        with temporary.open("wb") as file:
            np.savez(
                file,
                rows=rows.numpy(),
                ids=np.array(ids, dtype=np.str_),
                views=np.array(views.numbers),
                weights=views.weights,
                probabilities=seen.numpy(),
            )

    write_atomically(path, write)
