"""What the loggers of a run get besides its metrics: learning rates, scores, pictures and the report."""

from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any

import lightning as pl
import numpy as np
from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from PIL import Image

from imageclf.analysis.predictions_csv import read_predictions
from imageclf.callbacks.callback import Callback, Order, data_of
from imageclf.report.plots.outcome import outcome_pictures
from imageclf.schedule import RunState
from imageclf.tasks import Task


def send_picture(logger: Logger, name: str, picture: Image.Image, step: int) -> None:
    """Send a picture; a logger of another kind than these three takes none."""
    if isinstance(logger, TensorBoardLogger):
        logger.experiment.add_image(name, np.asarray(picture.convert("RGB")), step, dataformats="HWC")
    elif isinstance(logger, WandbLogger):
        logger.log_image(name, [picture], step)
    elif isinstance(logger, MLFlowLogger):
        logger.experiment.log_image(logger.run_id, picture, f"{name}.png")


def send_file(logger: Logger, path: Path) -> None:
    """Send a file as an artifact, named like its stem; TensorBoard and loggers of other kinds take none."""
    if isinstance(logger, WandbLogger):
        run = logger.experiment
        run.log_artifact(str(path), name=f"{path.stem}-{run.id}", type=path.stem)
    elif isinstance(logger, MLFlowLogger):
        logger.experiment.log_artifact(logger.run_id, str(path))


class FeedLoggers(Callback):
    """Send the loggers each step's learning rates and, at the end, scores, pictures and the report."""

    order = Order.SEND

    def __init__(self, run_dir: Path, state: RunState) -> None:
        self._run_dir = run_dir
        self._state = state

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Send the learning rate of each layer group."""
        step, every = trainer.global_step, trainer.log_every_n_steps  # type: ignore[attr-defined]
        # 0 logs no steps.
        if not trainer.is_global_zero or every == 0 or step % every:
            return
        rates = top_rates(group for each in trainer.optimizers for group in each.param_groups)
        for logger in trainer.loggers:
            logger.log_metrics(rates, step)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Send what the run came to; by now the report is there."""
        if trainer.is_global_zero and trainer.loggers:
            table = data_of(trainer).table
            pictures = self._pictures(table.task, table.classes)
            # The epoch's own scores are there already.
            scores = numbers(self._state.results, without=trainer.callback_metrics)
            for logger in trainer.loggers:
                logger.log_metrics(scores, trainer.global_step)
                for name, picture in pictures.items():
                    send_picture(logger, name, picture, trainer.global_step)
                if (report := self._run_dir / "report.html").exists():
                    send_file(logger, report)

    def _pictures(self, task: Task, classes: tuple[str, ...]) -> dict[str, Image.Image]:
        path = self._run_dir / "predictions" / "valid.csv"
        if not path.exists():
            return {}
        predictions = read_predictions(path, classes, are_numbers=not task.kind.has_accuracy)
        return outcome_pictures(predictions, classes, task)


def top_rates(groups: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return the highest learning rate of each layer group, under `lr/GROUP`.

    >>> top_rates([{"name": "head", "lr": 0.1}, {"name": "head/no_decay", "lr": 0.1}])
    {'lr/head': 0.1}
    """
    rates: dict[str, float] = {}
    for group in groups:
        name = f"lr/{group['name'].partition('/')[0]}"
        rates[name] = max(group["lr"], rates.get(name, 0.0))
    return rates


def numbers(results: Mapping[str, float | int | str], without: Container[str]) -> dict[str, float]:
    """Return the results that are numbers, which the name of the best model is not, but for some."""
    found = {name: float(value) for name, value in results.items() if not isinstance(value, str)}
    return {name: value for name, value in found.items() if name not in without}
