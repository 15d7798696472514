"""Predict with any weights at any time in a run, without changing its state."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import lightning as pl
import torch
from torch import Tensor, nn

from imageclf.data import Batch, ImageData
from imageclf.data.requests import Split
from imageclf.data.views.augmentation import Floats
from imageclf.evaluation.candidates import candidate_files, mean_predictions
from imageclf.evaluation.preserve import preserved
from imageclf.evaluation.tta_presets import PLAIN, WeightedViews
from imageclf.model.module import ClassifierModule
from imageclf.model.predictions import Collector, Predictions
from imageclf.model.weights.files import load_into
from imageclf.schedule.size import PictureSize
from imageclf.system.progress import track


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put every part in eval mode, without gradients, and restore each part's own mode afterwards."""
    # Part by part: train() would put the batch norm of frozen groups into training mode.
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, mode in modes:
            part.training = mode


def predict(
    trainer: pl.Trainer,
    module: ClassifierModule,
    data: ImageData,
    split: Split,
    size: PictureSize,
    views: tuple[int, ...],
    only: Tensor | None = None,
    step: str = "prediction",
) -> Predictions:
    """Return probabilities of a split, one row per picture and view, from all ranks; a collective call.

    View 0 is the picture as it is; the rows of a picture are in the order of `views`. `only` has the rows of
    the split that are predicted; None: all of them. `step` is what the progress display calls this.
    """
    rows = None if only is None else only.numpy()
    batches = data.read(data.evaluation_requests(split, size, views, rows))
    collected = Collector()
    total = len(data.table.rows(split) if rows is None else rows) * len(views)
    with (
        evaluating(module),
        trainer.precision_plugin.forward_context(),
        track(step, total, "pictures" if len(views) == 1 else "views", ("evaluation", size)) as advance,
    ):
        for batch in on_device(trainer, batches):
            advance(len(batch.rows) * trainer.world_size)
            collected.add(batch.rows, batch.labels, module.probabilities(batch))
    return module.gather(collected)


def current_predictions(
    trainer: pl.Trainer, module: ClassifierModule, data: ImageData, size: PictureSize
) -> Predictions:
    """Return plain predictions of the validation split by the current weights; a collective call."""
    known = module.validation_predictions()
    # Every epoch's validation has made them already, unless a finished run is evaluated again.
    if known is None:
        known = predict(trainer, module, data, "valid", size, views=(0,))
        module.set_validation_predictions(known)
    return known


def predict_with_reported(
    trainer: pl.Trainer,
    module: ClassifierModule,
    data: ImageData,
    split: Split,
    size: PictureSize,
    run_dir: Path,
) -> Predictions:
    """Return plain predictions of a split by the reported model, or by the current weights without any."""
    if not (run_dir / "snapshots" / "final.ckpt").exists():
        return predict(trainer, module, data, split, size, views=(0,))
    with preserved(module, trainer.optimizers[0]):
        files = candidate_files(run_dir, "best")
        return predict_with(trainer, module, data, split, size, files)


def predict_with(
    trainer: pl.Trainer,
    module: ClassifierModule,
    data: ImageData,
    split: Split,
    size: PictureSize,
    files: Sequence[Path],
    views: WeightedViews = PLAIN,
) -> Predictions:
    """Return the mean probabilities over several files of weights and the views of each picture."""
    predictions = []
    # One after the other in the same module: as many networks need not fit on the device.
    for file in files:
        load_into(module.model, file)
        each = predict(trainer, module, data, split, size, views.numbers)
        predictions.append(mean_of_views(each, views.weights))
    return mean_predictions(predictions)


def mean_of_views(predictions: Predictions, weights: Floats) -> Predictions:
    """Return the mean of each picture's rows of probabilities, one per view, by weights `[V]` with sum 1."""
    num_views = len(weights)
    means = weighted_mean(view_probabilities(predictions, num_views), weights)
    rows, labels = predictions.rows[::num_views], predictions.labels[::num_views]
    return predictions._replace(rows=rows, labels=labels, probabilities=means)


def weighted_mean(views: Tensor, weights: Floats) -> Tensor:
    """Return the mean over views `[N, V, C]` with weights `[V]`, `[N, C]`."""
    # In double precision, so that rounding cannot decide a tie; view by view, to save memory.
    mean = torch.zeros(len(views), views.shape[2], dtype=torch.float64)
    for index, weight in enumerate(weights.tolist()):
        mean.add_(views[:, index], alpha=weight)
    return mean


def view_probabilities(predictions: Predictions, num_views: int) -> Tensor:
    """Return probabilities `[N, V, C]` of predictions with `num_views` rows per picture."""
    probabilities = predictions.probabilities
    return probabilities.reshape(-1, num_views, probabilities.shape[1])


def on_device(trainer: pl.Trainer, batches: Iterable[Batch]) -> Iterator[Batch]:
    """Yield the batches on the trainer's device."""
    for batch in batches:
        yield trainer.strategy.batch_to_device(batch)
