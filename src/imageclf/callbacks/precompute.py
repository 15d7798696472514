"""Train the head on cached features of the frozen body: several epochs for one forward pass."""

import logging
from typing import Any

import lightning as pl
from torch import Tensor

from imageclf.callbacks.evaluation import evaluating, on_device
from imageclf.data import ImageData
from imageclf.data.datamodule import Split
from imageclf.model import ClassifierModule
from imageclf.schedule import Schedule

log = logging.getLogger(__name__)


def compute_features(
    trainer: pl.Trainer, module: ClassifierModule, data: ImageData, split: Split, size: int
) -> Tensor:
    """Return features `[N, F]` of a split in table order, all ranks together; a collective call.

    Pictures are seen as in validation: the plain view, the body in eval mode.
    """
    batches = data.read(data.evaluation_requests(split, size))
    collected = []
    with evaluating(module), trainer.precision_plugin.forward_context():
        for batch in on_device(trainer, batches):
            if batch.images is None:
                raise ValueError("features are computed from pictures")
            collected.append((batch.rows, batch.labels, module.model.features(batch.images).float()))
    return module.gather(collected).probabilities


class Precompute(pl.Callback):
    """Serve phases with `precompute: true` from features that are computed at the phase's start.

    The schedule refuses precompute with augmentation or a trainable body, so the features are those
    that every epoch of the phase would compute.

    Args:
        schedule: what holds at an epoch.

    Source: `ConvLearner.pretrained(..., precompute=True)` of fastai 0.7.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._cached: dict[tuple[str, Split, int], Tensor] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Give the data a source of features."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]

        def source(split: Split, size: int) -> Tensor:
            """Return features of a split at a size."""
            return self._features(trainer, pl_module, data, split, size)

        data.feature_source = source

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the features of an earlier phase: the body may have changed since."""
        name = self._schedule.at(trainer.current_epoch).name
        self._cached = {key: features for key, features in self._cached.items() if key[0] == name}

    def _features(self, trainer: pl.Trainer, module: Any, data: ImageData, split: Split, size: int) -> Tensor:
        # The phase is part of the key: another phase may have trained the body in between.
        key = (self._schedule.at(trainer.current_epoch).name, split, size)
        if key not in self._cached:
            log.info("precompute: features of %s pictures at %d px", split, size)
            self._cached[key] = compute_features(trainer, module, data, split, size)
        return self._cached[key]
