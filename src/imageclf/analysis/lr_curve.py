"""The mathematics of the learning-rate finder: the sweep, the smoothing and the suggestion."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from imageclf import InputError

Method = Literal["valley", "slide", "steepest", "minimum"]


class Suggestion(NamedTuple):
    """A learning rate, or the reason why the curve suggests none."""

    lr: float | None
    reason: str | None = None


def sweep(lr_min: float, lr_max: float, num_steps: int) -> list[float]:
    """Return learning rates from `lr_min` to `lr_max` with equal ratios between neighbours.

    Raises:
        InputError: fewer than 2 steps, or the ends are not 0 < lr_min < lr_max.

    Source: `learn.lr_find()` of fastai 0.7: 1e-5 to 10 over one epoch.
    """
    if num_steps < 2 or not 0 < lr_min < lr_max:
        raise InputError(
            f"callbacks.lr_finder: num_steps={num_steps}, lr_min={lr_min}, lr_max={lr_max}: "
            "give at least 2 steps and 0 < lr_min < lr_max"
        )
    ratio = math.log(lr_max / lr_min) / (num_steps - 1)
    return [lr_min * math.exp(ratio * step) for step in range(num_steps)]


def smooth(losses: Sequence[float], beta: float) -> list[float]:
    """Return the debiased exponential moving average of the losses.

    Args:
        losses: one per step.
        beta: weight of the past, from 0 (no smoothing) to below 1.

    Source: Adam, https://arxiv.org/abs/1412.6980, as in fastai 0.7.
    """
    average, smoothed = 0.0, []
    for step, loss in enumerate(losses, start=1):
        average = beta * average + (1 - beta) * loss
        smoothed.append(average / (1 - beta**step))
    return smoothed


def diverged(smoothed: Sequence[float], factor: float = 4.0) -> bool:
    """Return whether the last loss is not finite, or more than `factor` times the lowest one.

    Source: the stopping rule of fastai 0.7.
    """
    return not math.isfinite(smoothed[-1]) or smoothed[-1] > factor * min(smoothed)


def suggest(lrs: Sequence[float], smoothed: Sequence[float], method: Method = "valley") -> Suggestion:
    """Return a learning rate read off the curve of smoothed losses.

    Args:
        lrs: one per step, rising.
        smoothed: losses, as long as `lrs`; the first one that is not finite and all after it are ignored.
        method: valley: a point in the middle third of the longest fall; slide: where the slope stops changing
            within a window that moves in from the right; steepest: where the loss falls fastest over the
            logarithm of the rate; minimum: a tenth of the rate with the lowest loss.

    Source: `valley`, `slide`, `steep` and `minimum` of fastai 2, which also suggest a rate for a flat or
        rising
    curve.
    """
    losses = np.asarray(smoothed, dtype=np.float64)
    finite = np.isfinite(losses)
    count = len(losses) if finite.all() else int(np.argmin(finite))
    if count < 3:
        return Suggestion(None, f"only {count} steps had a finite loss")
    losses, rates = losses[:count], np.asarray(lrs[:count], dtype=np.float64)
    lowest = int(losses.argmin())
    if lowest == 0 or losses[0] - losses[lowest] < 0.01 * abs(losses[0]):
        return Suggestion(None, "the loss never fell")
    return Suggestion(float(_PICK[method](rates, losses, lowest)))


def _valley(rates: np.ndarray, losses: np.ndarray, lowest: int) -> float:
    length, end = _longest_fall(losses)
    third = length / 3
    return float(rates[end - length + int(third) + int(third / 2)])


def _slide(
    rates: np.ndarray, losses: np.ndarray, lowest: int, window: int = 15, threshold: float = 0.005
) -> float:
    slope = np.gradient(losses)
    # A short curve has no room for fastai's window.
    left = max(0, len(losses) - 1 - min(window, len(losses) // 2))
    right, found = len(losses) - 1, rates[left]
    while left >= 0 and abs(slope[right] - slope[left]) > threshold:
        found = rates[left]
        left, right = left - 1, right - 1
    return float(found)


def _steepest(rates: np.ndarray, losses: np.ndarray, lowest: int) -> float:
    slope = np.diff(losses[: lowest + 1]) / np.diff(np.log(rates[: lowest + 1]))
    return float(rates[int(slope.argmin())])


def _minimum(rates: np.ndarray, losses: np.ndarray, lowest: int) -> float:
    return float(rates[lowest] / 10)


def _longest_fall(losses: np.ndarray) -> tuple[int, int]:
    """Return the length and the end of the longest falling subsequence of losses; it may have gaps."""
    lengths = np.ones(len(losses), dtype=int)
    for end in range(1, len(losses)):
        lengths[end] = 1 + max(lengths[:end][losses[:end] > losses[end]], default=0)
    end = int(lengths.argmax())
    return int(lengths[end]), end


_PICK = {"valley": _valley, "slide": _slide, "steepest": _steepest, "minimum": _minimum}
