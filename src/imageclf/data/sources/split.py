"""Split the labelled pictures into training and validation rows, the same way on every machine."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from imageclf import InputError
from imageclf.data.sources.grouping import generator, group_bins, group_numbers
from imageclf.data.sources.table import Table, warn_missing
from imageclf.schedule.ranges import check_ranges
from imageclf.tasks.kinds import Targets

Rows = npt.NDArray[np.int64]
"""Row positions, [number of rows]."""


def fastai_valid_rows(n: int, valid_pct: float, seed: int, cv_idx: int = 0) -> Rows:
    """Choose the validation rows that fast.ai 0.7 chooses, index for index and in its order.

    Source: `get_cv_idxs(n, cv_idx, val_pct, seed)`.
    """
    size = int(valid_pct * n)
    rows = np.random.RandomState(seed).permutation(n)[cv_idx * size : (cv_idx + 1) * size]
    return rows.astype(np.int64)


def random_valid_rows(n: int, valid_pct: float, seed: int) -> Rows:
    """Choose round(valid_pct * n) of n rows with equal chances, in ascending order."""
    return np.sort(generator(seed).permutation(n)[: round(valid_pct * n)]).astype(np.int64)


def stratified_valid_rows(labels: npt.NDArray[np.int64], valid_pct: float, seed: int) -> Rows:
    """Choose the same fraction of every class, in ascending order; see `stratified_sizes`."""
    counts = np.bincount(labels)
    starts = np.cumsum(counts) - counts
    rank = np.arange(len(labels)) - np.repeat(starts, counts)
    taken = rank < np.repeat(stratified_sizes(counts, valid_pct), counts)
    rows: Rows = _shuffled_by_class(labels, seed)[taken]
    return np.sort(rows)


def stratified_sizes(counts: npt.NDArray[np.int64], valid_pct: float) -> npt.NDArray[np.int64]:
    """Divide round(valid_pct * N) validation rows among classes of `counts` rows by largest remainder.

    A class of one picture stays in training, and every larger class keeps at least one there. Every
    larger class gives at least one to validation, if the total is enough for all of them. Ties go
    to the lower class number. The total falls short only where training must keep its rows.
    """
    exact = counts * valid_pct
    total = round(float(valid_pct * counts.sum()))
    upper = np.maximum(counts - 1, 0)
    lower = np.minimum(upper, 1)
    lower = lower if lower.sum() <= total else np.zeros_like(lower)
    sizes: npt.NDArray[np.int64] = np.clip(np.floor(exact).astype(np.int64), lower, upper)
    total = min(total, int(upper.sum()))
    # What rounding and the bounds have left over goes, row by row, to the class furthest from its share.
    while (missing := total - int(sizes.sum())) != 0:
        free, sign = (sizes < upper, 1) if missing > 0 else (sizes > lower, -1)
        sizes[np.argmax(np.where(free, sign * (exact - sizes), -np.inf))] += sign
    return sizes


def stratified_fold_rows(labels: npt.NDArray[np.int64], fold: int, folds: int, seed: int) -> Rows:
    """Choose the validation rows of one of k stratified folds, in ascending order.

    Each row is in exactly one fold for the same seed. The sizes of two folds differ by at most one, overall
    and in each class.
    """
    # Dealing out one class after the other, like cards, evens out both kinds of sizes.
    return np.sort(_shuffled_by_class(labels, seed)[fold::folds])


def random_fold_rows(n: int, fold: int, folds: int, seed: int) -> Rows:
    """Choose the validation rows of one of k folds that differ in size by at most one."""
    return stratified_fold_rows(np.zeros(n, dtype=np.int64), fold, folds, seed)


@dataclass(frozen=True)
class Splitting:
    """How rows without a split are divided between training and validation.

    Args:
        valid_pct: Fraction for validation, 0 (train on everything) to below 1; k folds of the
            splits "stratified" and "random" have 1 / folds instead.
        split: "fastai" reproduces fast.ai 0.7, where the fold is its `cv_idx`.
        split_seed: The only seed of the split; 0 to 2**32 - 1.
        fold: Which fold is for validation; None for a single split.
        folds: How many folds.

    Raises:
        InputError: A value is outside its range, or there is a fold but no validation.
    """

    valid_pct: float
    split: Literal["stratified", "random", "fastai"]
    split_seed: int
    fold: int | None
    folds: int

    def __post_init__(self) -> None:
        check_ranges("data", vars(self))
        if self.fold is None:
            return
        if self.fold >= self.folds:
            raise InputError(
                f"data.fold={self.fold} must be from 0 to {self.folds - 1} (data.folds={self.folds}), or "
                "null."
            )
        if self.valid_pct == 0:
            raise InputError(
                f"data.fold={self.fold} needs validation pictures, but data.valid_pct=0 trains on "
                "everything; set data.fold=null or data.valid_pct above 0."
            )

    def words(self, share: str = "class") -> str:
        """Return in words how pictures are held out; `share` is what each part has its share of."""
        how = {
            "stratified": f"at random, the same share of each {share}",
            "random": "at random",
            "fastai": "as fastai 0.7 does",
        }
        if self.fold is not None:
            return f"fold {self.fold} of {self.folds} held out {how[self.split]}"
        return (
            f"{100 * self.valid_pct:.0f} % held out {how[self.split]}" if self.valid_pct else "none held out"
        )

    def apply(self, table: Table) -> Table:
        """Assign the rows whose split is ""; all others stay as they are.

        A warning lists the classes that end up without a training or a validation picture.

        Raises:
            InputError: There is a fold though the data has validation rows already, there are too
                few rows, or fewer than two classes are left to train on.
        """
        undecided = table.rows("")
        if self.fold is not None and len(table.rows("valid")):
            raise InputError(
                f"data.fold={self.fold} makes its own validation set, but the data has one; "
                "use data.valid=null (or data.valid_column=null), or data.fold=null."
            )
        if not len(undecided):
            return table
        splits = table.frame["split"].to_numpy(dtype=object, copy=True)
        splits[undecided] = "train"
        groups = None if table.groups is None else group_numbers(table.groups.iloc[undecided])
        strata = table.task.kind.dealt_by(table.labels[undecided])
        splits[undecided[self._valid_rows(strata, groups)]] = "valid"
        decided = pd.Series(splits, index=table.frame.index, dtype="str")
        result = replace(table, frame=table.frame.assign(split=decided))
        self._check_result(result)
        return result

    def _valid_rows(self, labels: Targets, groups: npt.NDArray[np.int64] | None) -> Rows:
        if groups is not None and self.valid_pct > 0:
            return self._grouped_rows(labels, groups)
        if self.split == "fastai":
            return self._fastai_rows(len(labels))
        if self.fold is None and (self.split == "random" or self.valid_pct == 0):
            return random_valid_rows(len(labels), self.valid_pct, self.split_seed)
        if self.fold is not None and self.folds > len(labels):
            raise InputError(f"data.folds={self.folds} is more than the {len(labels)} pictures to split.")
        if labels.ndim == 2 and self.split == "stratified":
            # A picture of several classes is dealt out by itself.
            return self._grouped_rows(labels, np.arange(len(labels)))
        if self.fold is None:
            return stratified_valid_rows(labels, self.valid_pct, self.split_seed)
        if self.split == "random":
            return random_fold_rows(len(labels), self.fold, self.folds, self.split_seed)
        return stratified_fold_rows(labels, self.fold, self.folds, self.split_seed)

    def _grouped_rows(self, labels: Targets, groups: npt.NDArray[np.int64]) -> Rows:
        shares = [1 - self.valid_pct, self.valid_pct] if self.fold is None else [1 / self.folds] * self.folds
        if self.split == "fastai":
            raise InputError(
                "data.split=fastai does not know groups; use stratified or random with data.group_column"
            )
        if groups.max() + 1 < len(shares):
            raise InputError(
                f"data.group_column names {groups.max() + 1} groups, too few for {len(shares)} parts of data"
            )
        strata = np.zeros(len(labels), dtype=np.int64) if self.split == "random" else labels
        bins = group_bins(strata, groups, shares, self.split_seed)
        return np.flatnonzero(bins == (1 if self.fold is None else self.fold)).astype(np.int64)

    def _fastai_rows(self, n: int) -> Rows:
        fold = self.fold or 0
        if (fold + 1) * int(self.valid_pct * n) > n:
            raise InputError(
                f"data.fold={fold} with data.split=fastai and data.valid_pct={self.valid_pct} lies beyond "
                f"the {n} pictures; data.valid_pct times (data.fold + 1) must be at most 1."
            )
        return fastai_valid_rows(n, self.valid_pct, self.split_seed, fold)

    def _check_result(self, table: Table) -> None:
        if (table.class_counts("train") > 0).sum() < table.task.kind.least_classes:
            raise InputError(
                f"data.valid_pct={self.valid_pct}, data.split={self.split}: fewer than two classes are left "
                "in training; lower data.valid_pct or use data.split=stratified."
            )
        warn_missing(table, "train")
        if self.valid_pct == 0:
            return
        if not len(table.rows("valid")):
            raise InputError(
                f"data.valid_pct={self.valid_pct} of {len(table.rows('train'))} pictures leaves none for "
                "validation; raise it, or set it to 0 to train on everything."
            )
        warn_missing(table, "valid")


def _shuffled_by_class(labels: npt.NDArray[np.int64], seed: int) -> Rows:
    """Return all rows, class after class, in random order within each."""
    order = generator(seed).permutation(len(labels))
    return order[np.argsort(labels[order], kind="stable")].astype(np.int64)
