"""Losses of numbers, which compare standardised ones."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from imageclf import InputError


class StandardisedLoss(nn.Module):
    """A loss of numbers in their own unit, such that each column counts alike whatever its unit is.

    Args:
        loss: (numbers `[B, C]`, targets `[B, C]`) -> scalar, both standardised.
        mean: of each column.
        spread: of each column, above 0.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, loss: nn.Module, mean: Sequence[float], spread: Sequence[float]) -> None:
        super().__init__()
        self.loss = loss
        # Not among the weights: the task keeps them.
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32), persistent=False)
        self.register_buffer("spread", torch.tensor(spread, dtype=torch.float32), persistent=False)

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss of standardised outputs `[B, C]` for targets in the unit of the CSV `[B, C]`."""
        loss: Tensor = self.loss(outputs, (targets - self.mean) / self.spread)
        return loss


def check_number_loss(loss: nn.Module) -> None:
    """Refuse a loss that is not lowest where every number is right.

    Raises:
        InputError: it is not, or takes no targets `[B, C]`.
    """
    targets = torch.tensor([[-1.5, 2.0], [0.0, 0.5]])
    name = type(loss).__name__
    remedy = "with task=regression give model/loss=mse, l1 or huber"
    try:
        right, *wrong = (float(loss(targets + shift, targets)) for shift in (0.0, -1.0, 1.0))
    # A loss may raise anything.
    except Exception as error:
        raise InputError(f"model.loss: {name} takes no targets that are numbers; {remedy}") from error
    if not all(right < each for each in wrong):
        raise InputError(f"model.loss: {name} is not lowest where every number is right; {remedy}")
