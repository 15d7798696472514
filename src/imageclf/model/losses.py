"""Losses besides torch's own, and class weights: (logits `[B, C]`, targets) -> scalar.

Targets are labels `[B]`, or shares `[B, C]` of each class in a mixed picture. With any loss, probabilities
are the softmax of the logits, and val/loss is the mean of -log(probability of the true class).
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from imageclf import InputError
from imageclf.schedule.ranges import check_range, check_ranges
from imageclf.tasks import MULTICLASS, Task

ClassWeights = Literal["none", "balanced", "sqrt"] | Sequence[float]


class FocalLoss(nn.Module):
    """Cross-entropy that weights each class by (1 - its probability)^gamma, so that easy pictures count less.

    With `gamma` 0 it is `torch.nn.CrossEntropyLoss`, also in its mean: weighted by `weight` over labels,
    plain over shares.

    Args:
        gamma: from 0; 2 in the paper.
        label_smoothing: part of each target that is spread evenly over all classes, from 0 to below 1.
        weight: of each class `[C]`; None: equal weights.

    Raises:
        InputError: a value is outside its range.

    Source: equation 4 of https://arxiv.org/abs/1708.02002, with the softmax of C classes.
    """

    weight: Tensor | None

    def __init__(
        self, gamma: float = 2.0, label_smoothing: float = 0.0, weight: Tensor | None = None
    ) -> None:
        super().__init__()
        check_ranges("model.loss", {"gamma": gamma, "label_smoothing": label_smoothing})
        self.gamma = gamma
        self.label_smoothing = label_smoothing
        # Not saved: it follows from the config and the pictures.
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over a batch."""
        logs = functional.log_softmax(_precise(logits), dim=1)
        # Away from 0, where a power below 1 has an infinite slope.
        doubts = (-torch.expm1(logs)).clamp_min(torch.finfo(logs.dtype).tiny)
        shares = _smooth(_shares(targets, logs), self.label_smoothing)
        losses = -shares * doubts**self.gamma * logs
        if self.weight is None:
            return losses.sum(dim=1).mean()
        total = self.weight[targets].sum() if targets.ndim == 1 else len(targets)
        return (losses * self.weight).sum() / total


class BinaryCrossEntropy(nn.Module):
    """Binary cross-entropy of each class by itself: the mean over pictures and classes.

    The network learns sigmoids, but its predictions are still the softmax of its logits: the classes have
    the same order, and the probabilities of a picture sum to 1. The mean over classes makes gradients C
    times smaller than a sum would, so SGD needs a higher learning rate.

    Args:
        label_smoothing: part of each target that is spread evenly over all classes, from 0 to below 1.
        target_threshold: a class counts as present in a mixed picture if its share is above this, from 0 to
            below 1; None: shares are the targets.
        weight: of each class `[C]`, for the pictures that show it; None: equal weights.

    Raises:
        InputError: a value is outside its range.

    Source: section 3 of https://arxiv.org/abs/2110.00476. With labels it equals
    `timm.loss.BinaryCrossEntropy`, which does not smooth shares, and weights classes, not pictures.
    """

    weight: Tensor | None

    def __init__(
        self,
        label_smoothing: float = 0.0,
        target_threshold: float | None = None,
        weight: Tensor | None = None,
    ) -> None:
        super().__init__()
        if target_threshold is not None and not 0 <= target_threshold < 1:
            raise InputError(
                f"model.loss.target_threshold={target_threshold}: give a number from 0 to below 1, or null"
            )
        check_range("model.loss.label_smoothing", label_smoothing)
        self.label_smoothing = label_smoothing
        self.target_threshold = target_threshold
        # Not saved: it follows from the config and the pictures.
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over a batch."""
        logits = _precise(logits)
        shares = _shares(targets, logits)
        goals = _smooth(shares, self.label_smoothing)
        if self.target_threshold is not None:
            goals = (goals > self.target_threshold).to(goals.dtype)
        # Of each picture, so that pictures can be weighted.
        losses = functional.binary_cross_entropy_with_logits(logits, goals, reduction="none").mean(dim=1)
        if self.weight is None:
            return losses.mean()
        # By picture: a weight per column would not change what that column learns.
        weights = shares @ self.weight.to(shares.dtype)
        return (losses * weights).sum() / weights.sum()


class MultilabelCrossEntropy(nn.Module):
    """Binary cross-entropy of several labels, the mean over pictures and classes: targets `[B, C]` of 0 to 1.

    Args:
        label_smoothing: how far each target is moved from 0 and 1 to 0.5, from 0 to below 1: 0.1 makes 0.05
            and 0.95.
        weight: of present labels, for each class `[C]`, such as absent / present pictures; None: 1.

    Raises:
        InputError: `label_smoothing` is outside its range.

    Source: `torch.nn.BCEWithLogitsLoss`, whose `pos_weight` is `weight`.
    """

    weight: Tensor | None

    def __init__(self, label_smoothing: float = 0.0, weight: Tensor | None = None) -> None:
        super().__init__()
        check_range("model.loss.label_smoothing", label_smoothing)
        self.label_smoothing = label_smoothing
        # Not saved: it follows from the config and the pictures.
        self.register_buffer("weight", weight, persistent=False)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over a batch."""
        goals = targets * (1 - self.label_smoothing) + self.label_smoothing / 2
        return functional.binary_cross_entropy_with_logits(_precise(logits), goals, pos_weight=self.weight)


def class_weights(
    how: ClassWeights, counts: Mapping[str, int], task: Task = MULTICLASS, pictures: int = 0
) -> Tensor | None:
    """Return weights `[C]` that compensate for rare classes, or None.

    Args:
        how: balanced: what the task's `balance` makes of the counts; sqrt: its square root; none; or a weight
            for each class.
        counts: training pictures of each class, in class order.
        task: what a label is.
        pictures: all training pictures.

    Raises:
        InputError: a class to balance has no pictures, or a list is not one weight above 0 for each class.
    """
    if how == "none":
        return None
    if not isinstance(how, str):
        return _listed(how, len(counts))
    empty = [name for name, count in counts.items() if count == 0]
    if empty:
        names = ", ".join(empty)
        raise InputError(f"model.class_weights={how}: these classes have no training picture: {names}")
    balanced = torch.from_numpy(task.balance(counts, pictures))
    return (balanced if how == "balanced" else balanced.sqrt()).float()


def _listed(weights: Sequence[float], num_classes: int) -> Tensor:
    if len(weights) != num_classes or not all(0 < weight < math.inf for weight in weights):
        raise InputError(
            f"model.class_weights={list(weights)}: give {num_classes} numbers above 0, "
            "one for each class in class order"
        )
    return torch.tensor(weights, dtype=torch.float32)


def _precise(logits: Tensor) -> Tensor:
    # Half precision is not accurate enough for logarithms.
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _shares(targets: Tensor, like: Tensor) -> Tensor:
    """Return labels `[B]` as shares `[B, C]`; shares stay as they are."""
    if targets.ndim == 1:
        targets = functional.one_hot(targets, like.shape[1])
    return targets.to(like.dtype)


def _smooth(shares: Tensor, smoothing: float) -> Tensor:
    return shares * (1 - smoothing) + smoothing / shares.shape[1]
