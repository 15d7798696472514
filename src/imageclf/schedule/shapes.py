"""The shape of the learning rate over one cycle, as a multiplier of its peak.

Every shape maps t, the fraction of the cycle that is done (0 <= t < 1), to a multiplier in [0, 1]; only
`plateau` goes by the validation losses instead.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

Shape = Literal["cosine", "onecycle", "flat_cosine", "constant", "plateau"]

# An improvement below this fraction of the best loss does not count; torch's default.
THRESHOLD = 1e-4
# Steps that a moving average reaches back at most: in a long epoch more would only delay it.
MOST_AVERAGED = 100
# Of a cycle of `onecycle`, the share in which the rate rises.
PCT_START = 0.25


def cosine(t: float) -> float:
    """Fall from 1 to 0 by half a cosine.

    >>> cosine(0.5)
    0.5

    Source: equation 5 of SGDR, https://arxiv.org/abs/1608.03983.
    """
    return (1 + math.cos(math.pi * t)) / 2


def onecycle(t: float, *, pct_start: float = PCT_START, div: float = 25.0, div_final: float = 1e5) -> float:
    """Rise from 1/`div` to 1 over the first `pct_start` of the cycle, then fall to 1/`div_final`.

    Source: `fit_one_cycle` of fastai 2; https://arxiv.org/abs/1803.09820.
    """
    return through(1 / div, 1.0, 1 / div_final, t, pct_start)


def through(start: float, middle: float, end: float, t: float, pct_start: float = PCT_START) -> float:
    """Return a value that goes from `start` to `middle`, at t = `pct_start`, to `end` by half a cosine each.

    The learning rate of `onecycle` does so, and its momentum the other way round. With `pct_start` 0 the
    first part is left out, with 1 the second.

    Source: `combined_cos` of fastai 2.
    """
    if t < pct_start:
        return _between(start, middle, t / pct_start)
    return _between(middle, end, (t - pct_start) / (1 - pct_start))


def flat_cosine(t: float, *, pct_start: float = 0.75) -> float:
    """Stay at 1 for the first `pct_start` of the cycle, then fall to 0 by half a cosine.

    Source: `fit_flat_cos` of fastai 2.
    """
    # The fall has the rest of the cycle to itself, so it still ends at 0.
    return 1.0 if t < pct_start else cosine((t - pct_start) / (1 - pct_start))


def constant(t: float) -> float:
    """Stay at 1.

    Source: `learn.fit(lr, n)` of fastai 0.7, without `cycle_len`.
    """
    return 1.0


def plateau(losses: Sequence[float], patience: int, factor: float) -> float:
    """Fall to `factor` of it whenever the validation loss has not improved for more than `patience` epochs.

    Args:
        losses: of the epochs so far, in order.
        patience: epochs in a row without a better loss that change nothing; the next one lowers the rate.
        factor: of the multiplier each time.

    >>> plateau([0.9, 0.8, 0.8, 0.8], patience=1, factor=0.1)
    0.1

    Source: the lesson's manual way, `learn.fit(lr, n)` and again with a tenth of it;
    `torch.optim.lr_scheduler.ReduceLROnPlateau`, whose state is computed here from the losses.
    """
    scale, best, waited = 1.0, math.inf, 0
    for loss in losses:
        waited = 0 if loss < best * (1 - THRESHOLD) else waited + 1
        best = loss if waited == 0 else best
        if waited > patience:
            scale, waited = scale * factor, 0
    return scale


def warmup_scale(step: int, steps: float) -> float:
    """Return the factor of a linear rise over `steps` optimizer steps, 1 from the last of them on.

    >>> [warmup_scale(step, 4) for step in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """
    # The first step already moves a little: a rate of 0 would waste its gradient.
    return min(1.0, (step + 1) / steps) if steps > 0 else 1.0


def average_decay(epochs: float, steps: int, done: int) -> float:
    """Return the share of a moving average that a step keeps: the plain mean of all steps, then a moving one.

    Args:
        epochs: that the average reaches back, above 0; at most `MOST_AVERAGED` steps.
        steps: of an epoch.
        done: steps that the average is to hold, from 1: the first one keeps nothing of what was before.

    >>> [round(average_decay(2, 12, done), 3) for done in (1, 2, 3, 24, 500)], average_decay(2, 1500, 500)
    ([0.0, 0.5, 0.667, 0.958, 0.958], 0.99)
    """
    return 1 - 1 / max(1.0, min(done, epochs * steps, MOST_AVERAGED))


def _between(start: float, end: float, t: float) -> float:
    return end + (start - end) * cosine(t)


# What `shape` names besides `plateau`; a new one is a function and a row here.
SHAPES: Mapping[str, Callable[..., float]] = {
    "cosine": cosine,
    "onecycle": onecycle,
    "flat_cosine": flat_cosine,
    "constant": constant,
}
# The keys of a phase that only some shapes heed.
OPTIONS: Mapping[str, tuple[str, ...]] = {
    "onecycle": ("pct_start", "div", "div_final", "moms"),
    "flat_cosine": ("pct_start",),
}
