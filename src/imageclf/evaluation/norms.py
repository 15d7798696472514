"""Estimate the batch norm statistics of averaged weights anew, on the training pictures of all ranks."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import lightning as pl
import numpy as np

from imageclf.data import ImageData, Request
from imageclf.evaluation.predicting import evaluating, on_device
from imageclf.model.module import ClassifierModule
from imageclf.model.weights.batch_norm import refresh_norms


def refresh_on_training(
    trainer: pl.Trainer, module: ClassifierModule, data: ImageData, epoch: int, names: Collection[str]
) -> None:
    """Estimate running statistics anew from an epoch's pictures without augmentation; a collective call.

    With several ranks they are the mean of the ranks' statistics. `epoch`, counted from the run's start, is
    the one whose batches are used; `names` are those of the batch norms.
    """
    if not names:
        return
    batches = on_device(trainer, data.read(plain_requests(trainer, data, epoch)))
    images = (batch.images for batch in batches if batch.images is not None)
    with evaluating(module), trainer.precision_plugin.forward_context():
        norms = refresh_norms(module.model, names, images)
    for norm in norms:
        for statistic in (norm.running_mean, norm.running_var):
            if statistic is not None:
                # A copy: reduce works in place.
                statistic.copy_(trainer.strategy.reduce(statistic.clone(), reduce_op="mean"))


def plain_requests(trainer: pl.Trainer, data: ImageData, epoch: int) -> Iterator[Request]:
    """Yield this rank's requests of an epoch with the plain view of each picture, shuffled as in training."""
    # In the table's order a batch would have a single class, and too little variance.
    count = data.num_batches(data.schedule.at(epoch), trainer.world_size)
    limit: Any = trainer.limit_train_batches
    count = min(count, limit) if isinstance(limit, int) else int(count * limit)
    for request in islice(data.training_requests(epoch), count):
        yield replace(request, views=np.zeros_like(request.views))
