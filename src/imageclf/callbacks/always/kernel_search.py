"""Let cuDNN search for its fastest kernels where the search pays."""

from collections import Counter
from typing import Any

import lightning as pl
import torch

from imageclf.callbacks.callback import Callback, Order
from imageclf.model.layout import MIN_STEPS
from imageclf.schedule import Schedule


def epochs_alike(schedule: Schedule) -> list[int]:
    """Return for each epoch how many of the run train the same layers on pictures of the same size.

    >>> from imageclf.schedule import Phase
    >>> epochs_alike(Schedule({"head": Phase(2, unfreeze_to="head"), "tune": Phase(3, lr=1e-3)}))
    [2, 2, 3, 3, 3]
    """
    shapes = [(place.size, place.batch_size, place.phase.unfreeze_to) for place in schedule.places]
    counts = Counter(shapes)
    return [counts[shape] for shape in shapes]


def searches(num_alike: int, num_batches: int, batch: int) -> bool:
    """Return whether cuDNN searches for kernels in a batch of an epoch that has `num_alike` of its kind.

    Not in the last batch of an epoch: it may be smaller than the others, and the evaluation comes after it.
    """
    return num_alike * num_batches >= MIN_STEPS and batch + 1 < num_batches


class KernelSearch(Callback):
    """Switch cuDNN's search on for the steps of long phases, and off for everything else.

    For each new shape the search times all kernels of all convolutions, which takes up to half a minute. A
    short phase does not make up for that. With `trainer.deterministic` there is no search.

    Source: `torch.backends.cudnn.benchmark`.
    """

    order = Order.PREPARE

    def __init__(self, schedule: Schedule) -> None:
        self._epochs_alike = epochs_alike(schedule)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Switch the search on or off."""
        if pl_module.device.type != "cuda" or torch.are_deterministic_algorithms_enabled():
            return
        num_alike = self._epochs_alike[trainer.current_epoch]
        num_batches = int(trainer.num_training_batches)
        torch.backends.cudnn.benchmark = searches(num_alike, num_batches, batch_idx)
