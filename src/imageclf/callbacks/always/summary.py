"""The end of a run: predictions by the model that it reports, and summary.json."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as pl
import pandas as pd
import torch

from imageclf import InputError
from imageclf.analysis.predictions_csv import predictions_table, write_predictions
from imageclf.analysis.scores import wilson_interval
from imageclf.analysis.submission import (
    label_submission,
    probability_submission,
    submission_of,
    write_submission,
)
from imageclf.callbacks.always.machine_log import machine_of
from imageclf.callbacks.callback import Callback, Order, data_of
from imageclf.configs.options import AnalysisOptions
from imageclf.data import ImageData, Table
from imageclf.evaluation.predicting import current_predictions, predict_with_reported
from imageclf.model.predictions import Predictions
from imageclf.report.reported import model_sentence
from imageclf.report.run_files import read_candidates
from imageclf.schedule import RunState
from imageclf.schedule.size import PictureSize, plain
from imageclf.system.files import write_json
from imageclf.tasks import Task

log = logging.getLogger(__name__)


class Summary(Callback):
    """Write `predictions/valid.csv`, the predictions of a test folder, and `summary.json`, in this order.

    A run is finished when `summary.json` exists.

    Args:
        state: of the run; its results go into `summary.json`.
        labels: to find the run by: experiment, task_name, tags.
        analysis: form and sample of submission.csv, if one is written.
    """

    order = Order.END

    def __init__(
        self, run_dir: Path, state: RunState, labels: Mapping[str, Any], analysis: AnalysisOptions
    ) -> None:
        self._run_dir = run_dir
        self._state = state
        self._labels = labels
        self._analysis = analysis

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Refuse a sample that the test pictures do not fit, before the training."""
        table = data_of(trainer).table
        if self._analysis.sample is not None:
            if not len(table.rows("test")):
                raise InputError(f"analysis.sample={self._analysis.sample}: give data.test, its pictures")
            submission_for(self._analysis, unpredicted(table), table.classes, table.task)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Score the final weights, predict with the reported model, then write all files."""
        module: Any = pl_module
        data = data_of(trainer)
        size = data.last_size
        # Without snapshots or validation nothing was compared.
        self._state.results.setdefault("model", "final")
        if data.has_validation:
            final = current_predictions(trainer, module, data, size)
            self._state.results |= module.score(final, "val")
            self._report(trainer, module, module.reported_predictions or final, data.table)
        if len(data.table.rows("test")):
            self._test(trainer, module, data, size)
        # Last: the run is finished once it exists.
        if trainer.is_global_zero:
            facts = self._facts(data) | machine_of(trainer, data)._asdict() | module.task.facts()
            summary = self._state.results | facts
            # JSON has no NaN, the value of a metric that cannot be computed.
            known = {name: None if value != value else value for name, value in summary.items()}
            write_json(self._run_dir / "summary.json", {**known, "classes": list(data.table.classes)})
            log.info(model_sentence(summary, read_candidates(self._run_dir)))

    def _report(self, trainer: pl.Trainer, module: Any, predictions: Predictions, table: Table) -> None:
        """Score and write what the reported model predicts of the validation split."""
        # As every candidate was scored: what the task learns from these very predictions comes after it.
        self._state.results |= reported_scores(predictions)
        if not predictions.task.kind.has_accuracy:
            # What stands for an accuracy are the metrics.
            self._state.results |= module.score(predictions, "model")
        pair = predictions.probabilities.numpy(), predictions.labels.numpy()
        module.task = module.task.fitted(*pair)
        # What is tuned on these pictures looks too good on them: this says what it is worth on others.
        honest = module.task.crossfitted(*pair)
        self._state.results |= {f"model/{name}": value for name, value in honest.items()}
        self._write(trainer, predictions_of(table, predictions._replace(task=module.task)), "valid")

    def _test(self, trainer: pl.Trainer, module: Any, data: ImageData, size: PictureSize) -> None:
        predictions = predict_with_reported(trainer, module, data, "test", size, self._run_dir)
        if bool(module.task.kind.known(predictions.labels.numpy()).all()):
            self._state.results |= module.score(predictions, "test")
        table = predictions_of(data.table, predictions)
        self._write(trainer, table, "test")
        if trainer.is_global_zero:
            submission = submission_for(self._analysis, table, data.table.classes, module.task)
            if submission is not None:
                write_submission(submission, self._run_dir / "submission.csv")

    def _write(self, trainer: pl.Trainer, table: pd.DataFrame, split: str) -> None:
        if trainer.is_global_zero:
            write_predictions(table, self._run_dir / "predictions" / f"{split}.csv")

    def _facts(self, data: ImageData) -> dict[str, Any]:
        path = self._run_dir / "metrics.csv"
        seconds = round(float(pd.read_csv(path)["seconds"].sum()), 1) if path.exists() else None
        return {
            **self._labels,
            "epochs": data.last_epoch + 1,
            "size": plain(data.last_size),
            "seconds": seconds,
            "num_train": len(data.table.rows("train")),
            "num_valid": len(data.table.rows("valid")),
            "num_test": len(data.table.rows("test")),
        }


def reported_scores(predictions: Predictions) -> dict[str, float]:
    """Return accuracy, loss and the accuracy's 95 % interval, by their key in summary.json."""
    accuracy, pictures = predictions.accuracy, len(predictions.rows)
    if not predictions.task.kind.has_accuracy:
        return {"model/loss": predictions.loss, "model/pictures": pictures}
    low, high = wilson_interval(round(accuracy * pictures), pictures)
    return {
        "model/acc": accuracy,
        "model/loss": predictions.loss,
        "model/acc_low": low,
        "model/acc_high": high,
        "model/pictures": pictures,
    }


def submission_for(
    analysis: AnalysisOptions, predictions: pd.DataFrame, classes: tuple[str, ...], task: Task
) -> pd.DataFrame | None:
    """Return the submission that the analysis node asks for, or None.

    Raises:
        InputError: the sample has other ids or classes than the predictions.
    """
    sample = None if analysis.sample is None else Path(analysis.sample).expanduser()
    if analysis.submission == "probabilities":
        return probability_submission(predictions, classes, sample)
    if analysis.submission == "labels":
        return label_submission(predictions, sample, task.submitted)
    return None if sample is None else submission_of(predictions, classes, sample, task.submitted)


def unpredicted(table: Table) -> pd.DataFrame:
    """Return the table of predictions/*.csv of the test rows before they are predicted, all zeros."""
    rows = torch.from_numpy(table.rows("test"))
    zeros = torch.zeros(len(rows), table.num_classes)
    return predictions_of(table, Predictions(rows, rows, zeros))


def predictions_of(table: Table, predictions: Predictions) -> pd.DataFrame:
    """Return predictions as the table of predictions/*.csv."""
    frame = table.frame.iloc[predictions.rows.numpy()]
    known = predictions.task.kind.shown(frame["label"].tolist(), table.classes)
    return predictions_table(
        list(frame["id"]),
        list(frame["path"]),
        known,
        predictions.probabilities.double().numpy(),
        table.classes,
        predictions.task.decide,
    )
