"""Which pictures form which batch, as functions of (seed, epoch, rank)."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Oversample = Literal["none", "repeat", "weighted"]


def epoch_order(rows: Rows, seed: int, epoch: int) -> Rows:
    """Return the rows in the order of an epoch, shuffled from (seed, epoch) alone."""
    # A list seeds as one whole: (1, 2) and (2, 1) are unrelated.
    return np.random.default_rng([seed, epoch]).permutation(rows)


def oversample(rows: Rows, labels: NDArray[np.int64], how: Oversample, seed: int, epoch: int) -> Rows:
    """Return rows of the training split in which rare classes are as frequent as common ones.

    Of N rows with classes `labels` `[N]`, none: the rows themselves; repeat: every class copied up to the
    largest one's size, `[C x largest]`; weighted: N drawn with replacement, all classes equally likely.

    Source: `WeightedDL` of fastai 2 and `OverSamplingCallback` of fastai 1.
    """
    if how == "none":
        return rows
    counts = np.bincount(labels)
    # The 1 keeps these draws apart from those of `epoch_order`.
    generator = np.random.default_rng([seed, epoch, 1])
    if how == "weighted":
        weights = 1 / counts[labels]
        return generator.choice(rows, size=len(rows), p=weights / weights.sum())
    # Shuffled first, so that the pictures with one more copy differ by epoch.
    members = [rows[labels == label] for label in np.flatnonzero(counts)]
    return np.concatenate([np.resize(generator.permutation(each), counts.max()) for each in members])


def copy_numbers(rows: Rows) -> Rows:
    """Return how often each row occurs earlier in the list, so that copies get different draws.

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
    """Return the number of training batches of an epoch, the same on every rank; `batch_size` is per rank.

    It depends on the global batch alone. A last batch of a single picture is dropped, since batch norm
    cannot train on it, unless it is the only batch.
    """
    full, rest = divmod(num_rows, batch_size * world_size)
    # As a number, the condition is the one short batch at the end.
    return full + (rest >= 2 or (full == 0 and rest == 1))


class Share(NamedTuple):
    """A rank's share of a global training batch.

    Args:
        chosen: its pictures, as a slice of the epoch's order.
        weight: of its mean loss, so that the mean over ranks is the mean over the global batch.
        total: pictures of the global batch.
    """

    chosen: slice
    weight: float
    total: int


def rank_batches(num_rows: int, batch_size: int, rank: int = 0, world_size: int = 1) -> Iterator[Share]:
    """Yield a rank's share of each global batch of an epoch; `batch_size` is per rank.

    The ranks together see what a single rank with the global batch would see. Where the last, short batch
    has fewer than two pictures per rank, some ranks see the same pictures, with less weight.
    """
    stride = batch_size * world_size
    for start in range(0, num_batches(num_rows, batch_size, world_size) * stride, stride):
        end = min(start + stride, num_rows)
        total = end - start
        # Batch norm cannot train on one picture, and DDP waits for every rank.
        shares = world_size if total == stride else min(world_size, max(1, total // 2))
        # Strided: a short last batch is divided evenly.
        chosen = slice(start + rank % shares, end, shares)
        holders = len(range(rank % shares, world_size, shares))
        yield Share(chosen, len(range(num_rows)[chosen]) * world_size / (total * holders), total)


def even_chunks(rows: Rows, batch_size: int, rank: int = 0, world_size: int = 1) -> Iterator[Rows]:
    """Yield a rank's rows for evaluation in batches, each row exactly once."""
    # No padding: pictures that count twice would distort the accuracy.
    mine = rows[rank::world_size]
    for start in range(0, len(mine), batch_size):
        yield mine[start : start + batch_size]
