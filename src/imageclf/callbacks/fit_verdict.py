"""Judge at each cycle's end whether the model under- or over-fits, and stop there if configured."""

import logging
from typing import Any

import lightning as pl
import numpy as np
import torch

from imageclf import InputError
from imageclf.analysis.fit import Fit, Verdict, verdicts
from imageclf.callbacks.callback import Callback, Order, data_of
from imageclf.data import ImageData
from imageclf.data.sampler import Rows
from imageclf.data.sources.table import Table
from imageclf.evaluation.predicting import current_predictions, predict
from imageclf.schedule import Schedule
from imageclf.schedule.size import PictureSize

log = logging.getLogger(__name__)


def spread(rows: Rows, count: int) -> Rows:
    """Return `count` of the rows, evenly spaced, or all if there are fewer."""
    if count >= len(rows):
        return rows
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(np.int64)]


class FitVerdict(Callback):
    """Compare the losses on training and validation pictures at each cycle's end, both measured alike.

    The training loss of an epoch is not comparable: its pictures are augmented, its labels may be smoothed,
    dropout is on, and the weights change. So as many training pictures as there are validation pictures are
    evaluated as in validation; `train/loss_plain` is their loss, and `val/loss_error` the standard error of
    the validation loss. `imageclf.analysis.fit.verdicts` is the rule.

    Args:
        tolerance: smallest change of the validation loss that counts, as a fraction.
        stop: end the run once it over-fits and its validation loss has risen.

    Raises:
        InputError: `tolerance` is negative.

    Source: fast.ai lesson 2: "train until over-fitting".
    """

    order = Order.JUDGE

    def __init__(self, schedule: Schedule, tolerance: float, stop: bool) -> None:
        if tolerance < 0:
            raise InputError(f"callbacks.fit_verdict.tolerance={tolerance}: give a fraction from 0")
        self._schedule = schedule
        self._tolerance = tolerance
        self._stop = stop
        # By epoch. A position does not determine them: they are saved in checkpoints.
        self._fits: dict[int, Fit] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stay stopped if the run was killed after its verdict and goes on."""
        self._stop_if_asked(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure and judge if a cycle ends."""
        data = data_of(trainer)
        place = self._schedule.at(trainer.current_epoch)
        if not (place.is_cycle_end and data.has_validation):
            return
        fit = self._measure(trainer, pl_module, data, data.size_of(place))
        pl_module.record("train/loss_plain", fit.train)  # type: ignore[operator]
        pl_module.record("val/loss_error", fit.error)  # type: ignore[operator]
        # An epoch that is repeated after a kill is judged anew.
        self._fits = {epoch: each for epoch, each in self._fits.items() if epoch < trainer.current_epoch}
        self._fits[trainer.current_epoch] = fit
        verdict = self._verdict(data.table)
        log.info("%s, cycle %d: %s", place.name, place.cycle, verdict.sentence)
        self._stop_if_asked(trainer)

    def state_dict(self) -> dict[str, Any]:
        """Return the losses so far, by epoch."""
        return {str(epoch): list(fit) for epoch, fit in self._fits.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the losses."""
        self._fits = {int(epoch): Fit(*losses) for epoch, losses in state_dict.items()}

    def _verdict(self, table: Table) -> Verdict:
        answers = table.task.answers(table.num_classes)
        return verdicts(list(self._fits.values()), answers, self._tolerance)[-1]

    def _stop_if_asked(self, trainer: pl.Trainer) -> None:
        if self._stop and self._fits and self._verdict(data_of(trainer).table).is_past_best:
            log.info("callbacks.fit_verdict.stop=true: the run ends here")
            trainer.should_stop = True

    def _measure(self, trainer: pl.Trainer, module: Any, data: ImageData, size: PictureSize) -> Fit:
        valid = current_predictions(trainer, module, data, size)
        rows = torch.from_numpy(spread(data.table.rows("train"), len(valid.rows)))
        train = predict(trainer, module, data, "train", size, (0,), only=rows)
        return Fit(train.loss, valid.loss, valid.loss_error, valid.accuracy)
