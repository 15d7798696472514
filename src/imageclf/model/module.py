"""The LightningModule: one step for pictures and cached features, exact validation on any number of ranks."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from imageclf.model.classifier import ImageClassifier
from imageclf.model.groups import LayerGroups, parameter_groups
from imageclf.model.metrics import MetricFunction, further_scores
from imageclf.model.predictions import Collector, Predictions, gather_rows
from imageclf.model.weights.positions import grid_note
from imageclf.schedule import RunState
from imageclf.tasks import MULTICLASS, Task

log = logging.getLogger(__name__)

OptimizerFactory = Callable[..., Optimizer]


class BatchLike(Protocol):
    """What a step needs of a batch; `imageclf.data.Batch` is one."""

    @property
    def images(self) -> Tensor | None:
        """Return pictures `[B, C, H, W]`, uint8 or uint16."""

    @property
    def features(self) -> Tensor | None:
        """Return cached features `[B, F]` in place of the pictures."""

    @property
    def labels(self) -> Tensor:
        """Return targets of the task, such as class indices `[B]`, -1 where unknown."""

    @property
    def rows(self) -> Tensor:
        """Return rows of the table `[B]`."""

    @property
    def weight(self) -> float:
        """Return the weight of the mean loss, for ranks with batches of different sizes."""


class ClassifierModule(pl.LightningModule):
    """Train and validate an image classifier.

    Args:
        model: the network.
        groups: its layer groups.
        classes: names of the C classes, which are saved in every checkpoint.
        loss: (logits `[B, C]`, targets of the task) -> scalar.
        optimizer: builds the optimizer from parameter groups; it gets `fused=True` if possible.
        weight_decay: of all tensors but norms, biases and what the architecture exempts.
        channels_last: keep convolution weights and pictures channels-last; else both are contiguous.
        mixing: (normalised pictures, labels, number of classes) -> (mixed pictures, targets).
        metrics: further scores of each validation, by name.
        by_layer: give each layer its own parameter group, for a schedule with `layer_decay`.
        state: of the run; receives the scores of each epoch. None: one of its own.
        task: what a label is.
    """

    def __init__(
        self,
        model: ImageClassifier,
        groups: LayerGroups,
        classes: Sequence[str],
        loss: nn.Module,
        optimizer: OptimizerFactory,
        weight_decay: float,
        channels_last: bool = True,
        mixing: Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]] | None = None,
        metrics: Mapping[str, MetricFunction] | None = None,
        by_layer: bool = False,
        state: RunState | None = None,
        task: Task = MULTICLASS,
    ) -> None:
        super().__init__()
        self.model = model
        self.model.arrange(channels_last)
        self.groups = groups
        self.classes = tuple(classes)
        self.loss = loss
        self.task = task
        self.state = state or RunState()
        # A plain dict hides them from Lightning and checkpoints: they keep no state.
        self.metrics = dict(metrics or {})
        # Warnings so far: a metric that cannot be computed is reported once, not in every epoch.
        self._warned: set[str] = set()
        self._mixing = mixing
        self._optimizer = optimizer
        self._weight_decay = weight_decay
        # For the whole run, not by phase: checkpoints store optimizer state by the order of the groups.
        self._by_layer = by_layer
        self._collected = Collector()
        self._predictions: Predictions | None = None
        # Of the validation split, by the candidate that the run reports; Snapshots sets them.
        self.reported_predictions: Predictions | None = None
        # The optimizer step that the last validation came after.
        self._validated_at = -1

    def forward(self, batch: BatchLike) -> Tensor:
        """Return logits `[B, C]` from the batch's cached features if it has them, else from its pictures."""
        logits: Tensor = self.model.head(self._features(batch))
        return logits

    def probabilities(self, batch: BatchLike) -> Tensor:
        """Return probabilities `[B, C]` of a batch."""
        # Half precision would round different probabilities to equal ones.
        return self.task.probabilities(self(batch).float())

    def training_step(self, batch: BatchLike, batch_idx: int) -> Tensor:
        """Return the loss of a batch; pictures are mixed first, cached features never.

        It is weighted by the rank's share of the global batch: DDP takes the plain mean of gradients.
        """
        if self._mixing is None or batch.images is None:
            logits, targets = self(batch), batch.labels
        else:
            images = self.model.normalise(batch.images)
            images, targets = self._mixing(images, batch.labels, len(self.classes))
            logits = self.model.head(self.model.backbone(images))
        loss: Tensor = self.loss(logits, targets)
        return loss * batch.weight

    def on_validation_epoch_start(self) -> None:
        """Start collecting the predictions of the current weights."""
        self._collected, self._predictions = Collector(), None
        self._validated_at = self.trainer.global_step

    def validation_step(self, batch: BatchLike, batch_idx: int) -> None:
        """Collect the probabilities of a batch."""
        self._collected.add(batch.rows, batch.labels, self.probabilities(batch))

    def validation_predictions(self) -> Predictions | None:
        """Return the predictions of the last validation, or None if the weights have changed since.

        A collective call: they are gathered from all ranks.
        """
        return self._gathered() if self._validated_at == self.trainer.global_step else None

    def set_validation_predictions(self, predictions: Predictions) -> None:
        """Take predictions of the validation split as those of the current weights."""
        self._predictions, self._validated_at = predictions, self.trainer.global_step

    def on_validation_epoch_end(self) -> None:
        """Record val/loss, val/acc and further metrics."""
        for name, value in self.score(self._gathered(), "val").items():
            self.record(name, value)

    def score(self, predictions: Predictions, split: str) -> dict[str, float]:
        """Return SPLIT/loss, SPLIT/acc if there is an accuracy, and further metrics; a collective call."""
        further = further_scores(self.metrics, predictions, self._warn_once)
        if self._trainer is not None:
            # torchmetrics warns on the first rank only, and a warning makes a score NaN.
            further = self.trainer.strategy.broadcast(further)
        scores = {"loss": predictions.loss} | predictions.scores | further
        return {f"{split}/{name}": value for name, value in scores.items()}

    def record(self, name: str, value: float) -> None:
        """Record a score of this epoch for metrics.csv, the loggers and callbacks that monitor it.

        The value must be the same on every rank.
        """
        self.state.scores[name] = value
        self.log(name, value, sync_dist=True)

    def gather(self, collected: Collector) -> Predictions:
        """Join the batches of all ranks in table order, on the CPU; a collective call."""
        no_targets = torch.from_numpy(self.task.targets([], self.classes))
        # A rank may have got no picture at all, and gathers all the same.
        nothing = torch.zeros(0, dtype=torch.long), no_targets, torch.zeros(0, len(self.classes))
        parts = collected.joined() or nothing
        rows, labels, probabilities = (self._all_rows(part) for part in parts)
        # Stable: the views of a picture keep their order.
        order = rows.argsort(stable=True)
        return Predictions(rows[order], labels[order], probabilities[order], self.task)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store with the weights what they are for."""
        checkpoint.update(self.weights_note())

    def weights_note(self) -> dict[str, Any]:
        """Return what a file says of the weights: class names, and the grid of patches unless square."""
        return {"classes": list(self.classes), **grid_note(self.model.backbone)}

    def configure_optimizers(self) -> Optimizer:
        """Return the optimizer over all layer groups; their learning rates are set at every batch."""
        groups = parameter_groups(self.model, self.groups, self._weight_decay, self._by_layer)
        # Passed only if true: otherwise torch chooses among its implementations.
        return self._optimizer(groups, fused=True) if self._fuses() else self._optimizer(groups)

    def _gathered(self) -> Predictions:
        if self._predictions is None:
            self._predictions = self.gather(self._collected)
        return self._predictions

    def _fuses(self) -> bool:
        if self._trainer is None:
            return False
        precision, clips = str(self.trainer.precision), bool(self.trainer.gradient_clip_val)
        return can_fuse(self.device.type, precision, clips)

    def _warn_once(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            log.warning(text)

    def _features(self, batch: BatchLike) -> Tensor:
        if batch.features is not None:
            return batch.features
        if batch.images is None:
            raise ValueError("a batch needs images or features")
        return self.model.features(batch.images)

    def _all_rows(self, part: Tensor) -> Tensor:
        if self._trainer is None or self.trainer.world_size == 1:
            return part
        strategy = self.trainer.strategy
        return gather_rows(part, strategy.all_gather, strategy.root_device)


def can_fuse(device: str, precision: str, clips: bool) -> bool:
    """Return whether an optimizer may use its fused implementation, one kernel for all weights.

    Under autocast Lightning does not clip gradients then, and in float16 the optimizer unscales them itself,
    so that callbacks before the step would see them scaled.

    Source: https://github.com/Lightning-AI/pytorch-lightning/issues/21435.

    >>> can_fuse("cuda", "bf16-mixed", clips=False), can_fuse("cpu", "32-true", clips=False)
    (True, False)
    """
    if device != "cuda" or precision == "16-mixed":
        return False
    return precision == "32-true" or not clips
