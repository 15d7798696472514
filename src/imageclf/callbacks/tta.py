"""Test-time augmentation: predict several views of each picture and average the probabilities."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import lightning as pl
import numpy as np
import torch
from torch import Tensor

from imageclf import InputError
from imageclf.callbacks.callback import Callback, Order, data_of
from imageclf.evaluation.predicting import current_predictions, predict, view_probabilities, weighted_mean
from imageclf.evaluation.tta_presets import Preset, WeightedViews, weighted_views
from imageclf.model.predictions import Predictions
from imageclf.schedule import RunState, Schedule
from imageclf.system.files import write_atomically

log = logging.getLogger(__name__)


class Evaluation(NamedTuple):
    """A validation with all views: the plain view's predictions, and the scores that `gains` returns.

    `views` are the probabilities of every view, `[N, V, C]`; None: they are not kept.
    """

    plain: Predictions
    views: Tensor | None
    scores: dict[str, float]


class TTA(Callback):
    """Validate with the weighted mean probability over a picture's views.

    Args:
        state: of the run; receives the scores of the final weights.
        run_dir: receives `predictions/valid_views.npz`.
        views: fastai07: the plain view and random ones, all of equal weight; fastai2: the plain view has a
            quarter of the weight; fastai1: the four corners and their mirror images, zoomed; five_crops:
            centre, corners and their mirror images.
        num_augmented: views besides the plain one; of fastai07 and fastai2.
        beta: weight of the plain view, 0 to 1; None: that of `views`.
        when: cycle: at each cycle's end; end: after the run only; epoch: at every epoch; all of them also
            after the run.
        keep_views: write the predictions of each view by the final weights.

    Raises:
        InputError: a number is outside its range.

    Source: `learn.TTA(n_aug=4)` of fastai 0.7; see `imageclf.evaluation.tta_presets`.
    """

    order = Order.EVALUATE

    def __init__(
        self,
        schedule: Schedule,
        state: RunState,
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
        self._state = state
        self._path = run_dir / "predictions" / "valid_views.npz"
        self._when = when
        self._keep_views = keep_views
        # The last evaluation, by its step, so that the end of the run need not repeat it.
        self._latest: dict[int, Evaluation] = {}

    @property
    def num_views(self) -> int:
        """Views of a picture, the plain one among them."""
        return len(self._views.numbers)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Record the scores of the mean where they are due."""
        is_cycle_end = self._schedule.at(trainer.current_epoch).is_cycle_end
        if self._when == "epoch" or (self._when == "cycle" and is_cycle_end):
            evaluation = self._evaluate(trainer, pl_module, trainer.current_epoch)
            self._latest = {trainer.global_step: evaluation}
            for name, value in evaluation.scores.items():
                pl_module.record(name, value)  # type: ignore[operator]

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Score the final weights."""
        data = data_of(trainer)
        if not data.has_validation:
            return
        # The last epoch has made it already where it ended a cycle, and its weights are the final ones.
        evaluation = self._latest.get(trainer.global_step)
        if evaluation is None:
            evaluation = self._evaluate(trainer, pl_module, data.last_epoch)
        plain, views, scores = evaluation
        self._state.results |= scores
        log.info("final weights with tta: %d views, %s", self.num_views, in_words(scores))
        if views is not None and trainer.is_global_zero:
            ids = data.table.frame["id"].iloc[plain.rows.numpy()]
            write_views(self._path, plain.rows, list(ids), self._views, views)

    def _evaluate(self, trainer: pl.Trainer, module: Any, epoch: int) -> Evaluation:
        data = data_of(trainer)
        size = data.size_of(self._schedule.at(epoch))
        plain = current_predictions(trainer, module, data, size)
        views = plain.probabilities[:, None]
        numbers = self._views.numbers[1:]
        if numbers:
            # The same pictures: trainer.limit_val_batches may have left some out.
            others = predict(
                trainer, module, data, "valid", size, numbers, plain.rows, "test-time augmentation"
            )
            views = torch.cat([views, view_probabilities(others, len(numbers))], dim=1)
        mean = plain._replace(probabilities=weighted_mean(views, self._views.weights))
        return Evaluation(plain, views if self._keep_views else None, gains(plain, mean))


def gains(plain: Predictions, mean: Predictions) -> dict[str, float]:
    """Return the scores of the mean over the views, and its gain in accuracy over the plain view alone."""
    scores = {f"val/{name}_tta": value for name, value in mean.scores.items()}
    gain = {"val/acc_tta_gain": mean.accuracy - plain.accuracy} if "acc" in mean.scores else {}
    return scores | gain


def in_words(scores: Mapping[str, float]) -> str:
    """Return what `gains` has found, in a few words.

    >>> in_words({"val/acc_tta": 0.9375, "val/loss_tta": 0.25, "val/acc_tta_gain": 0.0125})
    'val/acc 0.9375, gain +0.0125'
    >>> in_words({"val/loss_tta": 0.25})
    'val/loss 0.2500'
    """
    if "val/acc_tta" not in scores:
        return f"val/loss {scores['val/loss_tta']:.4f}"
    return f"val/acc {scores['val/acc_tta']:.4f}, gain {scores['val/acc_tta_gain']:+.4f}"


def write_views(
    path: Path, rows: Tensor, ids: list[str], views: WeightedViews, probabilities: Tensor
) -> None:
    """Write rows and ids `[N]`, numbers and weights of the views `[V]`, and probabilities `[N, V, C]`."""

    def write(temporary: Path) -> None:
        """Write the arrays under a temporary name."""
        # To an open file: savez would add .npz to a name.
        with temporary.open("wb") as file:
            np.savez(
                file,
                rows=rows.numpy(),
                ids=np.array(ids, dtype=np.str_),
                views=np.array(views.numbers),
                weights=views.weights,
                probabilities=probabilities.numpy(),
            )

    write_atomically(path, write)
