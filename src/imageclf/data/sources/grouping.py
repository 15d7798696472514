"""Split rows by groups that must stay together, such as the pictures of one patient."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd


def group_bins(
    labels: npt.NDArray[Any], groups: npt.NDArray[np.int64], shares: Sequence[float], seed: int
) -> npt.NDArray[np.int64]:
    """Assign whole groups to bins so that each bin gets about its share of every class: bin by row, [N].

    The largest groups go first, each to where it keeps the bins most evenly filled; groups of one size
    come in random order. Classes and groups are numbers [N] from 0; the shares add up to 1.

    Labels may also be 0 and 1 for each class, [N, C]: then the groups with the rarest classes go first, and
    the bins are filled with pictures as evenly as with any class.

    Source: `StratifiedGroupKFold` of scikit-learn, for bins of any size; the order of several labels is that
        of Sechidis, Tsoumakas and Vlahavas, "On the Stratification of Multi-Label Data", 2011.
    """
    counts = class_counts(labels, groups)
    # A class counts as much as any other, however rare.
    counts /= np.maximum(counts.sum(axis=0), 1)
    order = generator(seed).permutation(len(counts))
    # Of a rare class each picture is a large share.
    first = np.bincount(groups) if labels.ndim == 1 else counts.max(axis=1)
    order = order[np.argsort(-first[order], kind="stable")]
    share, filled = np.array(shares)[:, None], np.zeros((len(shares), counts.shape[1]))
    bins = np.zeros(len(counts), dtype=np.int64)
    for group in order:
        # By the square, a class that a bin already has much of weighs more: it goes where it is rare.
        growth = ((filled + counts[group]) ** 2 - filled**2) / share
        bins[group] = growth.sum(axis=1).argmin()
        filled[bins[group]] += counts[group]
    return bins[groups]


def class_counts(labels: npt.NDArray[Any], groups: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the pictures of each group and class, [G, C]; of several labels [G, C + 1], the last all."""
    if labels.ndim == 2:
        counts = np.zeros((groups.max() + 1, labels.shape[1] + 1))
        np.add.at(counts, groups, np.column_stack([labels, np.ones(len(labels))]))
        return counts
    counts = np.zeros((groups.max() + 1, int(labels.max()) + 1))
    np.add.at(counts, (groups, labels), 1)
    return counts


def group_numbers(groups: "pd.Series[str]") -> npt.NDArray[np.int64]:
    """Number groups from 0 in order of appearance, [N]."""
    return pd.factorize(groups)[0].astype(np.int64)


def generator(seed: int) -> np.random.Generator:
    """Return the generator of all splits."""
    # Named, since numpy may change what default_rng is.
    return np.random.Generator(np.random.PCG64(seed))
