"""Which losses learn several labels of each picture."""

import numpy as np
import torch
from torch import nn

from imageclf import InputError


def check_label_loss(loss: nn.Module, num_classes: int) -> None:
    """Refuse a loss that takes each picture for one of the classes: one without any does not change it.

    Raises:
        InputError: it is one, or takes no targets `[B, C]`.
    """
    logits = torch.linspace(-2, 1, 2 * num_classes).reshape(2, num_classes)
    # The second picture has no label.
    targets = torch.stack([(torch.arange(num_classes) % 2).float(), torch.zeros(num_classes)])
    higher = logits + torch.tensor([[0.0], [3.0]])
    name = type(loss).__name__
    remedy = "with task=multilabel give model/loss=bce_multilabel or model/loss=asymmetric"
    try:
        one, other = float(loss(logits, targets)), float(loss(higher, targets))
    # A loss may raise anything.
    except Exception as error:
        raise InputError(f"model.loss: {name} takes no targets of several labels; {remedy}") from error
    if np.isclose(one, other, rtol=1e-5):
        raise InputError(f"model.loss: {name} takes each picture for one of the classes; {remedy}")
