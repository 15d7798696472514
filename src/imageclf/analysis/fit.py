"""Under-fitted, well fitted or over-fitted: judged by a training and a validation loss measured alike."""

from collections.abc import Sequence
from typing import NamedTuple

# The lesson's advice in each case.
ADVICE = {
    "under-fitted": "train longer (n_cycles, cycle_mult), unfreeze more layers, or raise the learning rate",
    "well fitted": "carry on",
    "over-fitted": "augment more, use bigger pictures, dropout or weight decay; the best snapshot is kept",
}


class Fit(NamedTuple):
    """Losses at the end of a cycle, both on plain views and in eval mode."""

    train: float
    valid: float


def verdicts(fits: Sequence[Fit], tolerance: float = 0.02) -> list[str]:
    """Return a key of `ADVICE` for the end of each cycle of a run.

    Over-fitted: the validation loss is above the lowest one so far, while the training loss is below the one
    at that point. Otherwise under-fitted if the training loss is hardly below the validation loss.

    Args:
        fits: in running order.
        tolerance: smallest relative rise of the validation loss that counts.

    >>> verdicts([Fit(1.0, 1.0), Fit(0.5, 0.7), Fit(0.2, 0.9)])
    ['under-fitted', 'well fitted', 'over-fitted']
    """
    return [_verdict(fits[:index], fit, tolerance) for index, fit in enumerate(fits)]


def _verdict(before: Sequence[Fit], fit: Fit, tolerance: float) -> str:
    best = min(before, key=lambda each: each.valid, default=fit)
    if fit.valid > (1 + tolerance) * best.valid and fit.train < best.train:
        return "over-fitted"
    return "under-fitted" if fit.train > 0.9 * fit.valid else "well fitted"
