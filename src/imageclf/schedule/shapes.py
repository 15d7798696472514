"""The shape of the learning rate over one cycle, as a multiplier of its peak.

Every shape maps t, the fraction of the cycle that is done (0 <= t < 1), to a multiplier in [0, 1].
"""

import math
from collections.abc import Callable, Mapping


def cosine(t: float) -> float:
    """Fall from 1 to 0 by half a cosine.

    >>> cosine(0.5)
    0.5

    Source: equation 5 of SGDR, https://arxiv.org/abs/1608.03983.
    """
    return (1 + math.cos(math.pi * t)) / 2


def onecycle(t: float, *, pct_start: float = 0.25, div: float = 25.0, div_final: float = 1e5) -> float:
    """Rise from 1/`div` to 1 over the first `pct_start` of the cycle, then fall to 1/`div_final`.

    Source: `fit_one_cycle` of fastai 2; https://arxiv.org/abs/1803.09820.
    """
    if t < pct_start:
        return _between(1 / div, 1.0, t / pct_start)
    return _between(1.0, 1 / div_final, (t - pct_start) / (1 - pct_start))


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


def warmup_scale(step: int, steps: float) -> float:
    """Return the factor of a linear rise over `steps` optimizer steps, 1 from the last of them on.

    >>> [warmup_scale(step, 4) for step in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """
    # The first step already moves a little: a rate of 0 would waste its gradient.
    return min(1.0, (step + 1) / steps) if steps > 0 else 1.0


def _between(start: float, end: float, t: float) -> float:
    return end + (start - end) * cosine(t)


# What `shape` names; a new one is a function and a row here. Only `plateau` is none of the position
# alone: see imageclf.schedule.plateau.
SHAPES: Mapping[str, Callable[[float], float]] = {
    "cosine": cosine,
    "onecycle": onecycle,
    "flat_cosine": flat_cosine,
    "constant": constant,
}
