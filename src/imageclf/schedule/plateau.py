"""Stepwise annealing: lower the learning rate when the validation loss no longer falls."""

import math
from collections.abc import Sequence

# A loss that falls by less than this share of the best one has not fallen; torch's default.
THRESHOLD = 1e-4


def plateau(losses: Sequence[float], patience: int, factor: float) -> float:
    """Return the multiplier of the peak learning rate after these validation losses.

    Args:
        losses: of the epochs so far, in order.
        patience: epochs in a row without a better loss that are let pass; the next one lowers the rate.
        factor: what the rate is multiplied by then.

    >>> plateau([0.9, 0.8, 0.8, 0.8], patience=1, factor=0.1)
    0.1

    Source: the lesson's own "manual" way, `learn.fit(lr, n)` and again with a tenth of it;
    `torch.optim.lr_scheduler.ReduceLROnPlateau`, whose state it computes anew from the losses.
    """
    scale, best, waited = 1.0, math.inf, 0
    for loss in losses:
        waited = 0 if loss < best * (1 - THRESHOLD) else waited + 1
        best = loss if waited == 0 else best
        if waited > patience:
            scale, waited = scale * factor, 0
    return scale
