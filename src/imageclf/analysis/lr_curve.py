"""The mathematics of the learning-rate finder: the sweep, the smoothing and the suggestion."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from imageclf import InputError

Method = Literal["valley", "slide", "steepest", "minimum"]


# A fall of so many standard errors: with the steps and smoothing of the presets, flat losses with noise reach
# it in fewer than 3 of 100 searches.
CERTAIN = 3.2
# Steps that slide was made for. From 30 it reads rates that are some twenty times too low: docs/finder.md.
SLIDE_STEPS = 100


class Curve(NamedTuple):
    """The steps of a search: the head's learning rates, and the losses, means over the ranks."""

    lrs: list[float]
    losses: list[float]
    smoothed: list[float]


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


def trimmed(curve: Curve, num_steps: int) -> Curve:
    """Return the part of a search that a suggestion is read off.

    The first tenth goes, as hardly anything is averaged there yet, and of the end a twentieth, where the loss
    diverges.

    Args:
        curve: of the steps that were taken, fewer than planned if the loss diverged.
        num_steps: planned steps.

    Source: `learn.lr_find()` of fastai 2, which takes `[num_it // 10 : -5]` of 100 steps.
    """
    kept = slice(num_steps // 10, max(0, len(curve.lrs) - num_steps // 20))
    return Curve(*(values[kept] for values in curve))


def suggest(curve: Curve, num_steps: int, beta: float, method: Method = "valley") -> Suggestion:
    """Return a learning rate read off the trimmed curve of smoothed losses.

    Args:
        curve: of the whole search; the first loss that is not finite and all after it are ignored.
        num_steps: planned steps of the search.
        beta: that the losses were smoothed with.
        method: valley: a point in the middle third of the longest fall; slide: where the slope stops changing
            within a window that moves in from the right; steepest: where the loss falls fastest over the
            logarithm of the rate; minimum: a tenth of the rate with the lowest loss.

    Source: `valley`, `slide`, `steep` and `minimum` of fastai 2, which also suggest a rate for a curve that
        is flat, rises, or falls by no more than its noise.
    """
    read = trimmed(curve, num_steps)
    losses = np.asarray(read.smoothed, dtype=np.float64)
    finite = np.isfinite(losses)
    count = len(losses) if finite.all() else int(np.argmin(finite))
    if count < 3:
        return Suggestion(None, f"only {count} steps had a finite loss")
    losses, rates = losses[:count], np.asarray(read.lrs[:count], dtype=np.float64)
    lowest = int(losses.argmin())
    fall = losses[0] - losses[lowest]
    if lowest == 0 or fall < 0.01 * abs(losses[0]):
        return Suggestion(None, "the loss never fell")
    first = num_steps // 10 + 1
    error = math.hypot(*(standard_error(read.losses[:count], beta, first + at) for at in (0, lowest)))
    if fall < CERTAIN * error:
        return Suggestion(
            None, f"the loss fell by {fall:.2g}, and the noise of its batches alone could do that"
        )
    return Suggestion(float(_PICK[method](rates, losses, lowest)))


def standard_error(losses: Sequence[float], beta: float, step: int) -> float:
    """Return the standard error of a smoothed loss, by the noise between neighbouring raw ones.

    Args:
        losses: raw ones; the median of their differences ignores the few at which the loss falls or diverges.
        beta: weight of the past.
        step: of the smoothed loss, counted from 1: the later, the more is averaged.
    """
    # The median of |x - y| is 0.954 standard deviations for normal x and y.
    noise = float(np.median(np.abs(np.diff(losses)))) / 0.954
    weights = (1 - beta) / (1 - beta**step)
    return noise * weights * math.sqrt((1 - beta ** (2 * step)) / (1 - beta**2))


def _valley(rates: np.ndarray, losses: np.ndarray, lowest: int) -> float:
    length, end = _longest_fall(losses)
    third = length / 3
    return float(rates[end - length + int(third) + int(third / 2)])


def _slide(rates: np.ndarray, losses: np.ndarray, lowest: int) -> float:
    # fastai's 15 steps and 0.005 a step are made for 100 steps over 8 decades.
    scale = math.log10(rates[1] / rates[0]) / (8 / 99)
    window, threshold = max(1, round(15 / scale)), 0.005 * scale
    slope = np.gradient(losses)
    right, left = len(losses) - 1, max(0, len(losses) - 1 - window)
    found = rates[left]
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
    # Quadratic in the steps, which is quick for the hundreds that a search takes.
    lengths = np.ones(len(losses), dtype=int)
    for end in range(1, len(losses)):
        lengths[end] = 1 + max(lengths[:end][losses[:end] > losses[end]], default=0)
    end = int(lengths.argmax())
    return int(lengths[end]), end


_PICK = {"valley": _valley, "slide": _slide, "steepest": _steepest, "minimum": _minimum}
