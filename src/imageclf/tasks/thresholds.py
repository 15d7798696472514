"""From which probability on a class is predicted, chosen on pictures that were held out."""

import logging
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imageclf import InputError
from imageclf.analysis.crossfit import NUM_SPLITS, halves

_log = logging.getLogger(__name__)

# Probabilities that are looked at to tune thresholds on halves: of many pictures a few halvings say as much.
_MOST_TUNED = 5_000_000


def fbeta(
    true: NDArray[np.floating], taken: NDArray[np.floating], hits: NDArray[np.floating], beta: float
) -> NDArray[np.float64]:
    """Return F-beta of counts: pictures that have a class, that are taken for it, and both; 0 of none.

    Source: `sklearn.metrics.fbeta_score`.
    """
    weighted = beta**2 * true + taken
    return np.asarray((1 + beta**2) * hits / np.where(weighted > 0, weighted, 1))


def best_threshold(probabilities: NDArray[np.floating], targets: NDArray[np.floating], beta: float) -> float:
    """Return the threshold of one class with the highest F-beta, halfway between two probabilities.

    Among equal ones it is the one that lies furthest from any picture's probability. It is 0.5 where no
    picture has the class, or all of them do. `targets` are 1 where a picture has it and 0 elsewhere, `[N]`.
    """
    if len(set(targets.tolist())) < 2:
        return 0.5
    order = np.argsort(-probabilities, kind="stable")
    ordered = probabilities[order].astype(np.float64)
    hits, taken = np.cumsum(targets[order], dtype=np.float64), np.arange(1, len(order) + 1, dtype=np.float64)
    scores = fbeta(np.full(len(order), hits[-1]), taken, hits, beta)
    # Pictures of one probability are taken together.
    last = np.flatnonzero(np.append(ordered[1:] < ordered[:-1], True))
    highest = ordered[last]
    following = np.append(highest[1:], 0.0)
    best = np.flatnonzero(np.isclose(scores[last], scores[last].max(), rtol=0, atol=1e-12))
    widest = best[np.argmax((highest - following)[best])]
    return float((highest[widest] + following[widest]) / 2)


def best_thresholds(
    probabilities: NDArray[np.floating], targets: NDArray[np.floating], beta: float
) -> tuple[float, ...]:
    """Return `best_threshold` of each class, from `[N, C]` and `[N, C]`."""
    pairs = zip(probabilities.T, targets.T, strict=True)
    return tuple(best_threshold(each, truth, beta) for each, truth in pairs)


def tuned_thresholds(
    probabilities: NDArray[np.floating], targets: NDArray[np.floating], beta: float
) -> tuple[float, ...]:
    """Return `best_thresholds`, and log what they change."""
    found = best_thresholds(probabilities, targets, beta)
    before, after = (macro_fbeta(probabilities >= each, targets, beta) for each in (0.5, found))
    _log.info(
        "thresholds of the classes, tuned on %d held-out pictures: F%g %.4f there, %.4f with 0.5",
        *(len(targets), beta, after, before),
    )
    return found


def decided_by_others(
    probabilities: NDArray[np.floating],
    targets: NDArray[np.floating],
    beta: float,
    parts: NDArray[np.integer],
) -> NDArray[np.bool_]:
    """Return which classes `[N, C]` reach thresholds that are tuned on the pictures of all other parts.

    `targets` are 0 and 1, `[N, C]`; `parts` is the part of each picture, `[N]`, at least two of them.
    """
    taken = np.zeros(targets.shape, dtype=np.bool_)
    for part in np.unique(parts):
        own = parts == part
        taken[own] = probabilities[own] >= best_thresholds(probabilities[~own], targets[~own], beta)
    return taken


def crossfitted_fbeta(
    probabilities: NDArray[np.floating],
    targets: NDArray[np.floating],
    beta: float,
    strata: NDArray[np.integer],
) -> float:
    """Return the macro F-beta of thresholds tuned on one half of the pictures, and scored on the other.

    The mean over random halvings, with as many pictures of each of the `strata` `[N]` in both halves. So it
    says what tuned thresholds are worth on new pictures, while the F-beta on the pictures that they are tuned
    on is too high. `targets` are 0 and 1, `[N, C]`. NaN if there are fewer than two pictures.
    """
    if len(targets) < 2:
        return math.nan
    number = int(np.clip(_MOST_TUNED // targets.size, 1, NUM_SPLITS))
    found = [
        macro_fbeta(decided_by_others(probabilities, targets, beta, half.astype(np.int64)), targets, beta)
        for half in halves(strata, 0, number)
    ]
    mean = float(np.mean(found))
    _log.info(
        "with thresholds tuned on one half of them and scored on the other: F%g %.4f, which is what to "
        "expect on new pictures",
        *(beta, mean),
    )
    return mean


def checked_thresholds(found: Any, num_classes: int) -> tuple[float, ...]:
    """Return the thresholds of a summary.json.

    Raises:
        InputError: they are not one number from 0 to 1 for each class.
    """
    numbers = found if isinstance(found, list) else []
    legal = all(type(each) in (int, float) and 0 <= each <= 1 for each in numbers)
    if len(numbers) != num_classes or not legal:
        raise InputError("summary.json is damaged: thresholds are one number from 0 to 1 for each class")
    return tuple(map(float, numbers))


def macro_fbeta(taken: NDArray[np.bool_], targets: NDArray[np.floating], beta: float) -> float:
    """Return the mean F-beta over the classes that pictures have, from `[N, C]` and `[N, C]`."""
    true = targets.sum(axis=0, dtype=np.float64)
    hits = (taken & (targets == 1)).sum(axis=0).astype(np.float64)
    scores = fbeta(true, taken.sum(axis=0).astype(np.float64), hits, beta)
    return float(scores[true > 0].mean()) if (true > 0).any() else 0.0
