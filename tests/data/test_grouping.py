from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from imageclf import InputError
from imageclf.data.sources.grouping import group_bins, group_numbers
from imageclf.data.sources.split import Splitting
from imageclf.data.sources.table import make_table

RANDOM = np.random.default_rng(0)
GROUPS = RANDOM.integers(0, 300, 3000)
# A class that some groups have far more of than others.
LABELS = (RANDOM.random(3000) < 0.1 + 0.4 * (GROUPS % 7 == 0)).astype(np.int64)
HALF_OR_FIFTHS = [[0.8, 0.2], [0.2] * 5, [0.5, 0.5]]


def table(labels=LABELS, groups=GROUPS):
    """Make a table with groups."""
    ids = [str(row) for row in range(len(labels))]
    made = make_table(
        {"id": ids, "path": ids, "label": [f"c{each}" for each in labels], "split": [""] * len(ids)}
    )
    return replace(made, groups=pd.Series([f"g{each}" for each in groups], dtype="str"))


def splitting(**changes):
    """Make a splitting that holds out a fifth."""
    keys = {"valid_pct": 0.2, "split": "stratified", "split_seed": 42, "fold": None, "folds": 5}
    return Splitting(**(keys | changes))


def valid_rows(**changes):
    """Return the rows that are held out."""
    return splitting(**changes).apply(table()).rows("valid")


@pytest.mark.parametrize("shares", HALF_OR_FIFTHS)
@pytest.mark.fault(
    "Splits, batches and metrics",
    "Pictures of one patient would be in training and validation",
    "`data.group_column` keeps a group in one split",
)
def test_no_group_is_split_apart(shares):
    bins = group_bins(LABELS, GROUPS, shares, seed=0)
    assert (pd.Series(bins).groupby(GROUPS).nunique() == 1).all()


@pytest.mark.parametrize("shares", HALF_OR_FIFTHS)
def test_every_bin_has_about_its_share_of_every_class(shares):
    bins = group_bins(LABELS, GROUPS, shares, seed=0)
    counts = np.stack([np.bincount(bins, weights=label == LABELS, minlength=len(shares)) for label in (0, 1)])
    found = counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found, np.broadcast_to(shares, found.shape), atol=0.01)


def test_five_folds_are_as_even_as_those_of_scikit_learn():
    ours = group_bins(LABELS, GROUPS, [0.2] * 5, seed=0)
    theirs = np.zeros_like(ours)
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(LABELS, LABELS, GROUPS)
    for fold, (_, rows) in enumerate(folds):
        theirs[rows] = fold
    shares = [[LABELS[bins == fold].mean() for fold in range(5)] for bins in (ours, theirs)]
    # Theirs differs by seed; the shares of the rarer class may not be less even by half a point.
    assert np.std(shares[0]) <= np.std(shares[1]) + 0.005


def test_the_seed_decides_between_groups_of_one_size():
    labels, groups = np.zeros(40, dtype=np.int64), np.arange(40)
    chosen = {tuple(np.flatnonzero(group_bins(labels, groups, [0.8, 0.2], seed))) for seed in range(5)}
    assert len(chosen) == 5


def test_one_huge_group_goes_to_training():
    labels, groups = np.zeros(100, dtype=np.int64), np.array([0] * 90 + list(range(1, 11)))
    assert group_bins(labels, groups, [0.8, 0.2], seed=0)[0] == 0


def test_groups_are_numbered_as_they_come():
    assert group_numbers(pd.Series(["b", "a", "b", "c"], dtype="str")).tolist() == [0, 1, 0, 2]


@pytest.mark.parametrize("split", ["stratified", "random"])
def test_training_and_validation_share_no_group(split):
    rows = valid_rows(split=split)
    assert not set(GROUPS[rows]) & set(np.delete(GROUPS, rows))


@pytest.mark.parametrize("split", ["stratified", "random"])
def test_about_a_fifth_is_held_out(split):
    assert len(valid_rows(split=split)) / len(GROUPS) == pytest.approx(0.2, abs=0.01)


def test_folds_of_groups_partition_the_rows():
    rows = np.concatenate([valid_rows(fold=fold) for fold in range(5)])
    assert sorted(rows) == list(range(len(GROUPS)))


def test_groups_that_lost_a_row_keep_the_others_together():
    kept = splitting().apply(table().without([0, 5, 7]))
    valid = kept.rows("valid")
    remaining = np.delete(GROUPS, [0, 5, 7])
    assert not set(remaining[valid]) & set(np.delete(remaining, valid))


def test_fastais_split_knows_no_groups():
    with pytest.raises(InputError, match=r"data\.split=fastai does not know groups"):
        valid_rows(split="fastai")


def test_fewer_groups_than_folds_are_refused():
    few = table(groups=GROUPS % 3)
    with pytest.raises(InputError, match="3 groups, too few for 5 parts"):
        splitting(fold=0).apply(few)


def test_nothing_held_out_needs_no_groups():
    assert len(valid_rows(valid_pct=0)) == 0
