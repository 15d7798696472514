"""How good the best of several candidates is, measured on pictures that had no part in choosing it."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from imageclf.analysis.scores import wilson_interval

NUM_SPLITS = 50
"""Random halvings that are averaged: their draw changes the result by less than a third of a picture."""


class PictureScores(NamedTuple):
    """How a candidate classifies each of `[N]` pictures: whether it is right, and its loss."""

    right: NDArray[np.bool_]
    losses: NDArray[np.float64]


class Crossfitted(NamedTuple):
    """An accuracy, and the ends of its 95 % interval, 0 to 1."""

    accuracy: float
    low: float
    high: float


def crossfitted(
    candidates: Sequence[PictureScores], labels: NDArray[np.integer], seed: int
) -> Crossfitted | None:
    """Return the accuracy of the best candidate, chosen on one half of the pictures and scored on the other.

    Each half chooses the most accurate candidate, among equals that with the lowest loss, and the other half
    scores it; this is averaged over `NUM_SPLITS` random halvings. So it says what such a choice is worth on
    new pictures, while the best accuracy on the pictures that chose is too high: of equally good candidates
    it picks the one that was lucky on these pictures.

    The interval is Wilson's, as for an accuracy that nothing was chosen by: every picture is scored as often
    as any other, and always by a candidate that it did not choose. A bootstrap would shrink to a point where
    every picture is right, and would have copies of a picture in both halves.

    Args:
        candidates: their scores on the same pictures, at least one.
        labels: of the pictures, `[N]`; the halves have equally many of each class, give or take one.
        seed: of the halvings.

    Returns:
        None if there are fewer than two pictures.
    """
    pictures = len(labels)
    if pictures < 2:
        return None
    right = np.stack([each.right for each in candidates])
    losses = np.stack([each.losses for each in candidates])
    hits = 0
    for half in halves(labels, seed, NUM_SPLITS):
        for chosen_on, scored_on in ((half, ~half), (~half, half)):
            # The most accurate one; among equals, that with the lowest loss.
            order = np.lexsort((losses[:, chosen_on].sum(axis=1), -right[:, chosen_on].sum(axis=1)))
            hits += int(right[order[0], scored_on].sum())
    mean = hits / NUM_SPLITS
    return Crossfitted(mean / pictures, *wilson_interval(mean, pictures))


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
