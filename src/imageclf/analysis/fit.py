"""Under-fitted, well fitted or over-fitted: what two losses that are measured alike say."""

from collections.abc import Sequence
from typing import NamedTuple

# What the lesson advises in each case.
ADVICE = {
    "under-fitted": "train longer (n_cycles, cycle_mult), unfreeze more layers, or raise the learning rate",
    "well fitted": "go on",
    "over-fitted": "augment more, bigger pictures, dropout, weight decay; the best snapshot is kept",
}


class Fit(NamedTuple):
    """What is known at a cycle's end.

    Args:
        train: loss on training pictures, by the plain view and in eval mode.
        valid: loss on validation pictures, likewise.
    """

    train: float
    valid: float


def verdicts(fits: Sequence[Fit], tolerance: float = 0.02) -> list[str]:
    """Return a key of `ADVICE` for each cycle's end of a run.

    Over-fitted: the validation loss lies above the lowest one before, while the training loss lies
    below the one then. Otherwise under-fitted while the training loss is hardly below the validation loss:
    the model treats what it has learned from like what it has not.

    Args:
        fits: in running order.
        tolerance: change of a loss that counts as one, as a fraction.

    >>> verdicts([Fit(1.0, 1.0), Fit(0.5, 0.7), Fit(0.2, 0.9)])
    ['under-fitted', 'well fitted', 'over-fitted']
    """
    return [_verdict(fits[:index], fit, tolerance) for index, fit in enumerate(fits)]


def _verdict(before: Sequence[Fit], fit: Fit, tolerance: float) -> str:
    best = min(before, key=lambda each: each.valid, default=fit)
    if fit.valid > (1 + tolerance) * best.valid and fit.train < best.train:
        return "over-fitted"
    return "under-fitted" if fit.train > 0.9 * fit.valid else "well fitted"
