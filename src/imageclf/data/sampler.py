"""Which pictures form which batch, as functions of (seed, epoch, rank)."""

from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Oversample = Literal["none", "repeat", "weighted"]


def epoch_order(rows: Rows, seed: int, epoch: int) -> Rows:
    """Return the rows in the order of an epoch, shuffled from (seed, epoch) alone."""
    # A list seeds as one whole: (1, 2) and (2, 1) are unrelated.
    return np.random.default_rng([seed, epoch]).permutation(rows)


def oversample(rows: Rows, labels: NDArray[np.int64], how: Oversample, seed: int, epoch: int) -> Rows:
    """Return rows in which rare classes come as often as common ones.

    Args:
        rows: of the training split, `[N]`.
        labels: their classes, `[N]`.
        how: none: the rows themselves; repeat: every class copied up to the largest one's size,
            [C x largest] rows; weighted: N rows drawn with replacement, each class as likely.
        seed: of the draws.
        epoch: of the draws.

    Source: `WeightedDL` of fastai 2 and `OverSamplingCallback` of fastai 1.
    """
    if how == "none":
        return rows
    counts = np.bincount(labels)
    generator = np.random.default_rng([seed, epoch, 1])
    if how == "weighted":
        weights = 1 / counts[labels]
        return generator.choice(rows, size=len(rows), p=weights / weights.sum())
    # Shuffled first, so that the pictures which come once more differ by epoch.
    members = [rows[labels == label] for label in np.flatnonzero(counts)]
    return np.concatenate([_repeated(generator.permutation(each), counts.max()) for each in members])


def copy_numbers(rows: Rows) -> Rows:
    """Return how often each row came before in the list, so that copies get draws of their own.

    >>> copy_numbers(np.array([5, 3, 5, 5])).tolist()
    [0, 0, 1, 2]
    """
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    lengths = np.diff(np.r_[starts, len(rows)])
    numbers = np.empty(len(rows), dtype=np.int64)
    numbers[order] = np.arange(len(rows)) - np.repeat(starts, lengths)
    return numbers


def num_batches(num_rows: int, batch_size: int, world_size: int = 1) -> int:
    """Return the number of training batches of an epoch, the same on every rank.

    A last global batch with fewer than two pictures a rank is dropped, since batch norm cannot train
    on one, unless it is the only one.

    Args:
        num_rows: pictures of the epoch.
        batch_size: per rank.
        world_size: number of ranks.
    """
    full, rest = divmod(num_rows, batch_size * world_size)
    return full + (rest >= 2 * world_size or (full == 0 and rest >= world_size))


def rank_batches(order: Rows, batch_size: int, rank: int = 0, world_size: int = 1) -> Iterator[slice]:
    """Yield a rank's share of each global batch, as slices into `order`.

    The ranks together see what one rank with the global batch sees: each global batch is dealt out
    in turn. Only the last, short one differs where it is too small for so many ranks: see `num_batches`.

    Args:
        order: rows of the epoch.
        batch_size: per rank.
        rank: this one.
        world_size: number of ranks.
    """
    stride = batch_size * world_size
    for batch in range(num_batches(len(order), batch_size, world_size)):
        end = min((batch + 1) * stride, len(order))
        # Strided: a short last batch is shared evenly among the ranks.
        yield slice(batch * stride + rank, end, world_size)


def even_chunks(rows: Rows, batch_size: int, rank: int = 0, world_size: int = 1) -> Iterator[Rows]:
    """Yield a rank's rows for evaluation in batches; no row is left out and none comes twice."""
    # No padding: pictures that count twice would spoil the accuracy.
    mine = rows[rank::world_size]
    for start in range(0, len(mine), batch_size):
        yield mine[start : start + batch_size]


def _repeated(rows: Rows, count: int) -> Rows:
    return np.resize(rows, count)
