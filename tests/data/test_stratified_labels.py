"""The split of pictures with several labels: each part gets its share of each of them."""

import numpy as np
import pytest

from imageclf.data import Splitting, make_table
from imageclf.tasks import Multilabel

SHARES = {"common": 0.6, "usual": 0.3, "rare": 0.05, "rarest": 0.01}


@pytest.fixture(scope="module")
def table():
    """Return 1,000 pictures, more than a quarter of which have no label."""
    generator = np.random.default_rng(0)
    has = generator.random((1000, len(SHARES))) < list(SHARES.values())
    labels = ["|".join(np.array(list(SHARES))[row]) for row in has]
    ids = [str(row) for row in range(len(labels))]
    return make_table({"id": ids, "path": ids, "label": labels}, Multilabel())


def splitting(**options):
    return Splitting(
        **{"valid_pct": 0.2, "split": "stratified", "split_seed": 1, "fold": None, "folds": 5} | options
    )


def test_a_share_of_each_label_is_held_out(table):
    split = splitting().apply(table)
    assert len(split.rows("valid")) == pytest.approx(200, abs=2)
    held_out, all_of_them = split.class_counts("valid"), table.class_counts("")
    assert held_out == pytest.approx(0.2 * all_of_them, abs=1.5)


def test_pictures_without_a_label_are_held_out_by_the_same_share(table):
    split = splitting().apply(table)
    is_blank = (table.frame["label"] == "").to_numpy()
    assert is_blank[split.rows("valid")].sum() == pytest.approx(0.2 * is_blank.sum(), abs=8)


def test_each_picture_is_in_one_fold_and_each_fold_has_its_share(table):
    folds = [splitting(fold=fold).apply(table) for fold in range(5)]
    rows = np.concatenate([each.rows("valid") for each in folds])
    assert sorted(rows) == list(range(1000))
    counts = np.array([each.class_counts("valid") for each in folds])
    assert (counts.max(axis=0) - counts.min(axis=0)).max() <= 2


def test_nothing_is_held_out_of_a_run_without_validation(table):
    assert len(splitting(valid_pct=0.0).apply(table).rows("valid")) == 0


def test_the_split_follows_from_its_seed(table):
    first, again, other = (
        splitting(split_seed=seed).apply(table).rows("valid").tolist() for seed in (1, 1, 2)
    )
    assert first == again != other
