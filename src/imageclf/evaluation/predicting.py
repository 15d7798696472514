"""Predict with any weights at any moment of a run, and leave no trace."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import lightning as pl
import torch
from torch import Tensor, nn

from imageclf.data import Batch, ImageData
from imageclf.data.datamodule import Split
from imageclf.data.views.augmentation import Floats
from imageclf.model import ClassifierModule, Collector, Predictions


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put every part in eval mode, without gradients, and restore each part's own mode afterwards."""
    # Part by part: train() would wake the batch norm of frozen groups.
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
    size: int,
    views: tuple[int, ...],
    only: Tensor | None = None,
) -> Predictions:
    """Return probabilities of a split, one row per picture and view, all ranks together; a collective call.

    Args:
        trainer: knows device and precision.
        module: with the weights to use.
        data: the pictures.
        split: train, valid or test.
        size: pixels a side.
        views: their numbers, 0 is the picture as it is; the views of a picture stay in this order.
        only: rows of the split to look at; None looks at all of them.
    """
    rows = None if only is None else only.numpy()
    batches = data.read(data.evaluation_requests(split, size, views, rows))
    collected = Collector()
    with evaluating(module), trainer.precision_plugin.forward_context():
        for batch in on_device(trainer, batches):
            collected.add(batch.rows, batch.labels, module(batch).float().softmax(1))
    return module.gather(collected)


def current_predictions(
    trainer: pl.Trainer, module: ClassifierModule, data: ImageData, size: int
) -> Predictions:
    """Return plain predictions of the validation split by the current weights; a collective call."""
    known = module.validation_predictions()
    # Every epoch's validation has made them already, unless a finished run is evaluated again.
    if known is None:
        known = predict(trainer, module, data, "valid", size, views=(0,))
        module.set_validation_predictions(known)
    return known


def mean_of_views(predictions: Predictions, weights: Floats) -> Predictions:
    """Return the weighted mean of each picture's rows of probabilities, one row per view.

    Args:
        predictions: of every picture as many rows as there are views.
        weights: of the views, `[V]`, with sum 1.
    """
    num_views = len(weights)
    means = weighted_mean(view_probabilities(predictions, num_views), weights)
    return Predictions(predictions.rows[::num_views], predictions.labels[::num_views], means)


def weighted_mean(views: Tensor, weights: Floats) -> Tensor:
    """Return the mean over views `[N, V, C]` with weights `[V]`, `[N, C]`."""
    # In double, so that rounding cannot tip a tie; view by view, for all of them may be large.
    mean = torch.zeros(len(views), views.shape[2], dtype=torch.float64)
    for index, weight in enumerate(weights.tolist()):
        mean.add_(views[:, index], alpha=weight)
    return mean


def view_probabilities(predictions: Predictions, num_views: int) -> Tensor:
    """Return probabilities `[N, V, C]` of predictions that hold `num_views` rows a picture."""
    probabilities = predictions.probabilities
    return probabilities.reshape(-1, num_views, probabilities.shape[1])


def on_device(trainer: pl.Trainer, batches: Iterable[Batch]) -> Iterator[Batch]:
    """Yield the batches on the trainer's device."""
    for batch in batches:
        yield trainer.strategy.batch_to_device(batch)
