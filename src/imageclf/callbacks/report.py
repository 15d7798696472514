"""Write report.html at the end of a run."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import lightning as pl
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imageclf.analysis.extremes import Answer
from imageclf.analysis.predictions_csv import read_predictions
from imageclf.callbacks.callback import Callback, Order, data_of
from imageclf.data import ImageData
from imageclf.evaluation.candidates import candidate_files
from imageclf.evaluation.grad_cam import heatmaps_of
from imageclf.report.model_pictures import ReportedHeatmaps, TrainingViews
from imageclf.report.run_page import write_report
from imageclf.schedule import RunState
from imageclf.tasks import Task

log = logging.getLogger(__name__)

_NUM_VIEWS = 12
_NUM_HEATMAPS = 6  # most wrong pictures, and as many of the most right ones


class Report(Callback):
    """Write `report.html` from the files of the run directory.

    Args:
        state: of the run; is told which candidate the files at the end are made by.
        model: clear_best: the final weights, unless another candidate did clearly better on validation; best:
            the candidate that did best, however little better; final: the weights after the last step.
    """

    order = Order.REPORT

    # The default is that of runs whose config was written before there was a choice.
    def __init__(
        self, run_dir: Path, state: RunState, model: Literal["clear_best", "best", "final"] = "best"
    ) -> None:
        self._run_dir = run_dir
        self._state = state
        self._model = model

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Say which model is reported, before anything is compared."""
        self._state.reports = self._model

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the report; by now the summary and the predictions are there."""
        if trainer.is_global_zero:
            views, heatmaps = training_views(data_of(trainer)), self._heatmaps(trainer, pl_module)
            log.info("report: %s", write_report(self._run_dir, views=views, heatmaps=heatmaps))

    def _heatmaps(self, trainer: pl.Trainer, module: Any) -> ReportedHeatmaps | None:
        """Return where the reported model looked at its most wrong and its most right pictures."""
        path, data = self._run_dir / "predictions" / "valid.csv", data_of(trainer)
        # It shows what speaks for a class.
        if not path.exists() or not module.task.kind.has_accuracy:
            return None
        predictions = read_predictions(path, module.classes)
        answers = extremes(module.task, predictions, module.classes)
        if not answers:
            return None
        rows = table_rows(data, predictions["id"].iloc[[each.row for each in answers]])
        places = [each.place for each in answers]
        # None stands for the weights that the module has.
        is_saved = (self._run_dir / "snapshots" / "final.ckpt").exists()
        weights = candidate_files(self._run_dir, "best") if is_saved else [None]
        found = heatmaps_of(trainer, module, data, data.last_size, rows, places, weights[0])
        return None if found is None else ReportedHeatmaps(answers, *found, is_member=len(weights) > 1)


def training_views(data: ImageData) -> TrainingViews | None:
    """Return some pictures of the last augmented epoch, or of the last epoch, as they are trained on."""
    epochs = range(data.last_epoch, -1, -1)
    epoch = next((each for each in epochs if data.schedule.at(each).phase.augment), data.last_epoch)
    request = next(data.training_requests(epoch), None)
    if request is None:
        return None
    few = replace(request, rows=request.rows[:_NUM_VIEWS], views=request.views[:_NUM_VIEWS])
    (batch,) = data.read(iter([few]))
    assert batch.images is not None, "pictures are asked for, not features"
    pictures = batch.images.permute(0, 2, 3, 1).cpu().numpy()
    labels = data.table.task.kind.captions(batch.labels.cpu().numpy(), data.table.classes)
    return TrainingViews(pictures, labels, data.schedule.at(epoch).phase.augment)


def extremes(task: Task, predictions: pd.DataFrame, classes: Sequence[str]) -> list[Answer]:
    """Return the most wrong and then the most right answers."""
    found = (each(predictions, classes, _NUM_HEATMAPS) for each in (task.most_wrong, task.most_right))
    return list(chain.from_iterable(found))


def table_rows(data: ImageData, ids: Iterable[str]) -> NDArray[np.int64]:
    """Return the rows of validation pictures in the table; a test picture may have the same id."""
    rows = data.table.rows("valid")
    place = dict(zip(data.table.frame["id"].iloc[rows], rows.tolist(), strict=True))
    return np.array([place[each] for each in ids], dtype=np.int64)
