"""From which probability on a class is predicted, chosen on pictures that were held out."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from imageclf import InputError


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

    Among equal ones it is the one that lies furthest from any picture's probability.
    0.5 where no picture has the class, or all of them do.

    Args:
        probabilities: of the class, `[N]`.
        targets: 1 where a picture has it, 0 elsewhere, `[N]`.
        beta: how much more recall counts than precision.
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


def checked_thresholds(found: Any, num_classes: int) -> tuple[float, ...]:
    """Return the thresholds of a summary.json.

    Raises:
        InputError: they are not one number from 0 to 1 for each class.
    """
    numbers = found if isinstance(found, list) else []
    legal = all(isinstance(each, int | float) and 0 <= each <= 1 for each in numbers)
    if len(numbers) != num_classes or not legal:
        raise InputError("summary.json is damaged: thresholds are one number from 0 to 1 for each class")
    return tuple(map(float, numbers))


def macro_fbeta(taken: NDArray[np.bool_], targets: NDArray[np.floating], beta: float) -> float:
    """Return the mean F-beta over the classes that pictures have, from `[N, C]` and `[N, C]`."""
    true = targets.sum(axis=0, dtype=np.float64)
    hits = (taken & (targets == 1)).sum(axis=0).astype(np.float64)
    scores = fbeta(true, taken.sum(axis=0).astype(np.float64), hits, beta)
    return float(scores[true > 0].mean()) if (true > 0).any() else 0.0
