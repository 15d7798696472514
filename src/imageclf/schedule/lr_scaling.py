"""`lr_scaling`: what batches of another size make of the learning rates of a recipe."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from imageclf.schedule.phase import Phase

LrScaling = Literal["none", "linear", "sqrt"]


def lr_factor(rule: LrScaling, pictures: int, reference: int) -> float:
    """Return what a learning rate made for `reference` pictures a step is multiplied by.

    Pictures a step are those of all processes and accumulated batches together.

    Source: https://arxiv.org/abs/1706.02677 (linear), https://arxiv.org/abs/1404.5997 (sqrt).

    >>> [lr_factor(rule, 256, 64) for rule in ("none", "linear", "sqrt")]
    [1.0, 4.0, 2.0]
    """
    ratio = pictures / reference
    return {"none": 1.0, "linear": ratio, "sqrt": math.sqrt(ratio)}[rule]


def scaled(phase: Phase, factor: float) -> Phase:
    """Return a phase with its rates times a factor; `lr: auto` is found with the batches that there are.

    >>> scaled(Phase(lr=[0.01, 0.02]), 4).lr, scaled(Phase(lr="auto"), 4).lr
    ([0.04, 0.08], 'auto')
    """
    if phase.lr == "auto":
        return phase
    if isinstance(phase.lr, Sequence):
        return replace(phase, lr=[float(rate) * factor for rate in phase.lr])
    return replace(phase, lr=phase.lr * factor)
