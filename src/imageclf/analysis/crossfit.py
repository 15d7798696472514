"""Which of several candidates to take, and how good it is on pictures that had no part in choosing it."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imageclf.analysis.scores import wilson_interval

NUM_ERRORS = 2
"""Standard errors by which a candidate must be better to be clearly better: chance alone rarely does that."""
NUM_SPLITS = 50
"""Random halvings that are averaged: their draw changes the result by less than a third of a picture."""


class PictureScores(NamedTuple):
    """How a candidate classifies each of `[N]` pictures: whether it is right, and its loss.

    Of several candidates together, `[K, N]`.
    """

    right: NDArray[np.bool_]
    losses: NDArray[np.float64]


class Crossfitted(NamedTuple):
    """An accuracy, and the ends of its 95 % interval, 0 to 1."""

    accuracy: float
    low: float
    high: float


Rule = Callable[[PictureScores], int]
"""Returns the row of the candidate to take, given the scores of all, `[K, N]`."""


def most_accurate(scores: PictureScores) -> int:
    """Return the row of the most accurate candidate, among equals that with the lowest loss."""
    return int(np.lexsort((scores.losses.sum(axis=1), -scores.right.sum(axis=1)))[0])


def clear_best(scores: PictureScores) -> int:
    """Return the row of the best candidate if it is clearly better than the first, the final weights; else 0.

    It is clearly better if it is so by more than `NUM_ERRORS` standard errors of the mean difference on the
    same pictures: of their accuracies, or of their losses where these are equal. With few pictures the best
    of many candidates is mostly the one that was lucky.

    >>> right = np.array([[True] * 6 + [False] * 4, [True] * 7 + [False] * 3, [True] * 10])
    >>> [clear_best(PictureScores(right[:some], np.zeros((some, 10)))) for some in (2, 3)]
    [0, 2]

    Source: the rule of one standard error of Breiman et al., Classification and Regression Trees, 1984; two
    of them here, as the best of several differs by one of them by chance.
    """
    right, losses = scores
    chosen = most_accurate(scores)
    if right[chosen].sum() > right[0].sum():
        gains = right[chosen].astype(np.float64) - right[0]
    else:
        gains = losses[0] - losses[chosen]
    # A single picture has no standard error.
    error = gains.std(ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else np.inf
    return chosen if gains.mean() > NUM_ERRORS * error else 0


def crossfitted(
    candidates: Sequence[PictureScores],
    labels: NDArray[np.integer],
    seed: int,
    rule: Rule = most_accurate,
) -> Crossfitted | None:
    """Return the accuracy of a chosen candidate, chosen on one half of the pictures and scored on the other.

    This is averaged over `NUM_SPLITS` random halvings. So it says what such a choice is worth on new
    pictures, while the best accuracy on the pictures that chose is too high: of equally good candidates it
    picks the one that was lucky on these pictures.

    The interval is Wilson's, as for an accuracy that nothing was chosen by: every picture is scored as often
    as any other, and always by a candidate that it did not choose. A bootstrap would shrink to a point where
    every picture is right, and would have copies of a picture in both halves.

    Args:
        candidates: their scores on the same pictures, at least one.
        labels: of the pictures, `[N]`; the halves have equally many of each class, give or take one.
        seed: of the halvings.
        rule: what each half chooses by; for `clear_best`, the first candidate is the final weights.

    Returns:
        None if there are fewer than two pictures.
    """
    pictures = len(labels)
    if pictures < 2:
        return None
    right, losses = stacked(candidates)
    hits = 0
    for half in halves(labels, seed, NUM_SPLITS):
        for chosen_on, scored_on in ((half, ~half), (~half, half)):
            chosen = rule(PictureScores(right[:, chosen_on], losses[:, chosen_on]))
            hits += int(right[chosen, scored_on].sum())
    mean = hits / NUM_SPLITS
    return Crossfitted(mean / pictures, *wilson_interval(mean, pictures))


def stacked(candidates: Sequence[PictureScores]) -> PictureScores:
    """Return the scores of several candidates together."""
    return PictureScores(
        np.stack([each.right for each in candidates]), np.stack([each.losses for each in candidates])
    )


def halves(labels: NDArray[np.integer], seed: int, number: int) -> Iterator[NDArray[np.bool_]]:
    """Yield random halves of pictures with labels `[N]`, each a mask `[N]` with about half of every class.

    Neither the sizes of the two halves nor those of a class in them differ by more than one.
    """
    generator = np.random.default_rng(seed)
    for _ in range(number):
        # Classes in random order, so that it is not always the same ones that have one picture more.
        classes = generator.permutation(int(labels.max()) + 1)[labels]
        order = np.lexsort((generator.random(len(labels)), classes))
        half = np.zeros(len(labels), dtype=np.bool_)
        # Class by class, in random order within each: every second one is half of every class.
        half[order[::2]] = True
        yield half
