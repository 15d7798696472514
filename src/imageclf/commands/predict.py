"""Predict pictures with a finished run, or with the mean of several."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

import pandas as pd
from omegaconf import DictConfig

from imageclf import InputError
from imageclf.analysis.submission import submission_of
from imageclf.callbacks.always.summary import predictions_of, unpredicted
from imageclf.commands.predict_files import check_output, check_same_rows, output_of, summary_table, write_new
from imageclf.commands.predict_options import PredictOptions
from imageclf.configs import read_object
from imageclf.data import Caching, ImageData, Loading, Table, describe, unreadable
from imageclf.data.pictures.store import Shrunk
from imageclf.data.sources.unlabelled import unlabelled_table
from imageclf.evaluation.candidates import mean_predictions
from imageclf.evaluation.predicting import predict_with
from imageclf.model.layout import is_channels_last
from imageclf.model.predictions import Predictions
from imageclf.schedule import Phase, Schedule
from imageclf.system.printable import console, show
from imageclf.tasks import Task
from imageclf.training.check_keys import checked
from imageclf.training.logs import log_to_file
from imageclf.training.trained import (
    BuiltRun,
    TrainedRun,
    augmentation_of,
    build_predicting_trainer,
    build_trained,
    finished,
    read_trained,
)

log = logging.getLogger(__name__)

# The folder that the run kept its caches in is not for this command to write into.
_NO_CACHE = Caching(cache="none", cache_dir=None, cache_gb=1, fingerprint="stat")


class Predicted(NamedTuple):
    """What was predicted.

    Args:
        table: of predictions.
        summary: a row per predicted class.
        skipped: pictures that cannot be read: id, path, reason.
        files: that were written, that of the predictions last.
    """

    table: pd.DataFrame
    summary: pd.DataFrame
    skipped: pd.DataFrame
    files: list[Path]


def run(cfg: DictConfig, folder: Path) -> None:
    """Predict, write the CSV, and print a summary and, in the last line, where the CSV is."""
    options = checked(cfg, PredictOptions)
    log_to_file(finished(options.runs[0]))
    predicted = predict_pictures(options)
    console().print(summary_table(predicted.table, predicted.summary, predicted.skipped))
    for path in predicted.files:
        show(path)


def predict_pictures(options: PredictOptions) -> Predicted:
    """Write a row per picture: id, path, label (blank), prediction, a probability per class.

    Pictures that cannot be read are left out, and listed in a file `-skipped.csv` beside the CSV; with
    `sample`, the file `-submission.csv` there has the sample's ids, order and header.

    Raises:
        InputError: a run is not finished or of other classes, there is no picture that can be read, a file
            cannot be written or would replace one of another content, or the sample has other ids.
    """
    run_dirs = [finished(each) for each in options.runs]
    output = output_of(options.output, options.data, options.tag, run_dirs[0])
    check_output(output)
    runs = [read_trained(run_dir, options.weights, options.trust) for run_dir in run_dirs]
    _check_classes(options.runs, runs)
    classes = runs[0].classes
    task = decided_by(options.thresholds, runs[0].task.averaged([each.task for each in runs]), classes)
    given = replace(unlabelled_table(options.data, classes, options.column), pixels=runs[0].pixels)
    table, skipped = readable(given, options.on_error)
    if not options.overwrite:
        check_same_rows(output, table, are_numbers=not task.kind.has_accuracy)
    sample = None if options.sample is None else Path(options.sample).expanduser()
    if sample is not None:
        # Before the work: with other ids it would be in vain.
        submission_of(unpredicted(table), classes, sample, task.submitted)
    # One after the other: only one network at a time is in memory.
    each = [
        predict_table(BuiltRun(run_dir, run, *build_trained(run)), table, options)
        for run_dir, run in zip(run_dirs, runs, strict=True)
    ]
    predictions = predictions_of(table, mean_predictions(each)._replace(task=task))
    filled = None if sample is None else submission_of(predictions, classes, sample, task.submitted)
    files = write_new(output, predictions, skipped, filled, options.overwrite)
    return Predicted(predictions, task.summary(predictions, classes), skipped, files)


def decided_by(file: str | None, task: Task, classes: Sequence[str]) -> Task:
    """Return a task that decides by a thresholds.json of imageclf-collect; None: as it is.

    Raises:
        InputError: the file is missing, damaged, or has no thresholds of this task and these classes.
    """
    if file is None:
        return task
    path = Path(file).expanduser()
    if not path.is_file():
        raise InputError(
            f"thresholds={file}: there is no such file; give the thresholds.json that imageclf-collect wrote"
        )
    found = read_object(path)
    same = (found.get("task"), found.get("classes")) == (task.name, list(classes))
    if not same or found.get("thresholds") is None:
        raise InputError(
            f"thresholds={file}: it has no thresholds for the classes of this run of task={task.name}; give "
            "the thresholds.json that imageclf-collect wrote for folds of task=multilabel with these classes"
        )
    try:
        return task.restored(found, len(classes))
    except InputError:
        raise InputError(
            f"thresholds={file} is damaged: it has to hold a number from 0 to 1 for each class; collect again"
        ) from None


def readable(table: Table, on_error: Literal["skip", "raise"]) -> tuple[Table, pd.DataFrame]:
    """Return the pictures that can be read, and the others: id, path and reason.

    Raises:
        InputError: there are others and `on_error` is raise, or no picture can be read.
    """
    faults = unreadable(table.paths, _NO_CACHE, pixels=table.pixels)
    sentence = describe(list(faults.values())) if faults else ""
    if faults and on_error == "raise":
        which = "it" if len(faults) == 1 else "them"
        raise InputError(f"{sentence}; repair or remove {which}, or give on_error=skip")
    if len(faults) == len(table):
        raise InputError(f"{sentence}; there is nothing to predict")
    if faults:
        log.warning("%s; %s skipped (on_error=skip)", sentence, "it is" if len(faults) == 1 else "they are")
    skipped = table.frame.loc[list(faults), ["id", "path"]].reset_index(drop=True)
    reasons = [fault.removeprefix(f"{table.paths[row]}: ") for row, fault in faults.items()]
    return table.without(faults), skipped.assign(reason=pd.Series(reasons, dtype="str"))


def predict_table(
    built: BuiltRun, table: Table, options: PredictOptions, shrunk: Sequence[Shrunk] | None = None
) -> Predictions:
    """Return what a run predicts of all rows of a table.

    Pictures that are `shrunk` are in memory; without them they are files.
    """
    run_dir, run, module, expects = built
    views = options.views()
    is_drawn = any(number > 0 for number in views.numbers)
    augmentation = augmentation_of(run, run_dir, options.trust, is_drawn)
    trainer = build_predicting_trainer(run_dir, options.precision)
    device = trainer.strategy.root_device
    module.model.arrange(
        is_channels_last(run.channels_last, module.model.backbone, device.type == "cuda", steps=0)
    )
    module.to(device)
    data = ImageData(
        # Runs that are averaged may have been trained on other channels of the same pictures.
        table=replace(table, pixels=run.pixels),
        loading=_loading(run, options, is_read=shrunk is not None),
        # The data asks a schedule for the size and the batches of an epoch; here there is one.
        schedule=Schedule({"predict": Phase()}),
        augmentation=augmentation,
        crop_pct=expects.crop_pct,
        seed=run.seed,
        caching=_NO_CACHE,
        shrunk=shrunk,
    )
    # Its device decides on the number of workers, and whether batches are pinned.
    data.trainer = trainer
    try:
        return predict_with(trainer, module, data, "test", run.size, run.files, views)
    finally:
        data.close()


def _loading(run: TrainedRun, options: PredictOptions, is_read: bool) -> Loading:
    return Loading(
        size=run.size,
        batch_size=options.batch_size,
        # Pictures in memory would be copied into every worker.
        num_workers=0 if is_read else options.num_workers,
        resize=run.resize,
        oversample="none",
        on_error=options.on_error,
        # Each picture is read once: nothing is gained by keeping it.
        device_store="off",
    )


def _check_classes(names: Sequence[str], runs: Sequence[TrainedRun]) -> None:
    for name, each in zip(names, runs, strict=True):
        if each.classes != runs[0].classes:
            apart = sorted(set(each.classes) ^ set(runs[0].classes))
            difference = f"such as {apart[0]!r}" if apart else "in another order"
            raise InputError(
                f"run={name}: its classes differ from those of {names[0]}, {difference}; average runs of the "
                "same classes"
            )
