import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from imageclf import InputError
from imageclf.data.sources.split import (
    Splitting,
    fastai_valid_rows,
    random_fold_rows,
    random_valid_rows,
    stratified_fold_rows,
    stratified_sizes,
    stratified_valid_rows,
)
from imageclf.data.sources.table import make_table

LABELS = np.repeat([0, 1, 2, 3], [50, 23, 7, 1])


def table(labels, splits=None):
    """Make a table of classes c0, c1, ... by number."""
    ids = [str(row) for row in range(len(labels))]
    names = [f"c{label}" for label in labels]
    return make_table({"id": ids, "path": ids, "label": names, "split": splits or [""] * len(ids)})


def splitting(**changes):
    keys = {"valid_pct": 0.2, "split": "stratified", "split_seed": 42, "fold": None, "folds": 5}
    return Splitting(**(keys | changes))


def test_fastai_rows_are_those_of_the_lesson_index_for_index():
    rows = fastai_valid_rows(10222, 0.2, 42)
    assert len(rows) == 2044
    assert rows[:3].tolist() == [2882, 4514, 7717]
    assert rows[-3:].tolist() == [8922, 6774, 37]
    assert rows.sum() == 10320706


@pytest.mark.parametrize(
    ("n", "pct", "seed", "cv_idx"), [(103, 0.2, 42, 0), (103, 0.2, 42, 4), (10, 0.35, 7, 1)]
)
def test_fastai_rows_follow_its_formula(n, pct, seed, cv_idx):
    state = np.random.get_state()
    np.random.seed(seed)
    size = int(pct * n)
    expected = np.random.permutation(n)[cv_idx * size : (cv_idx + 1) * size]
    np.random.set_state(state)
    assert fastai_valid_rows(n, pct, seed, cv_idx).tolist() == expected.tolist()


@pytest.mark.parametrize("kind", ["stratified", "random", "fastai"])
def test_splitting_leaves_the_global_generator_alone(kind):
    before = np.random.get_state()[1].tolist()
    splitting(split=kind).apply(table(LABELS))
    assert np.random.get_state()[1].tolist() == before


@pytest.mark.parametrize("n", [10, 81, 1000])
@pytest.mark.parametrize("pct", [0.0, 0.1, 0.2, 0.5, 0.99])
def test_random_rows_are_the_rounded_fraction_each_once(n, pct):
    rows = random_valid_rows(n, pct, 0)
    assert len(rows) == round(pct * n)
    assert sorted(set(rows.tolist())) == rows.tolist()
    assert all(0 <= row < n for row in rows)


def test_stratified_sizes_round_each_class_by_largest_remainder():
    assert stratified_sizes(np.array([50, 23, 7]), 0.2).tolist() == [10, 5, 1]
    assert stratified_sizes(np.array([14, 14, 12]), 0.2).tolist() == [3, 3, 2]


@pytest.mark.fault("Splits, batches and metrics", "A class has one picture", "It stays in training")
def test_a_class_of_one_stays_in_training():
    assert stratified_sizes(np.array([1, 1, 8]), 0.5).tolist() == [0, 0, 5]


def test_a_class_of_two_gives_one_to_each_side():
    assert stratified_sizes(np.array([2, 98]), 0.2).tolist() == [1, 19]
    assert stratified_sizes(np.array([2, 98]), 0.95).tolist() == [1, 94]


def test_too_small_a_total_goes_by_remainder_alone():
    assert stratified_sizes(np.array([2, 2, 2, 2, 12]), 0.15).tolist() == [1, 0, 0, 0, 2]


def test_the_total_falls_short_only_where_training_must_keep_its_rows():
    assert stratified_sizes(np.array([1, 1, 2]), 0.9).tolist() == [0, 0, 1]


@pytest.mark.parametrize("seed", range(20))
def test_stratified_sizes_keep_every_promise_for_any_counts(seed):
    generator = np.random.Generator(np.random.PCG64(seed))
    counts = generator.integers(1, 40, generator.integers(2, 30))
    pct = generator.uniform(0.05, 0.6)
    sizes = stratified_sizes(counts, pct)
    total = round(float(pct * counts.sum()))
    assert sizes.sum() == min(total, (counts - 1).sum())
    assert (sizes <= counts - 1).all()
    if total >= (counts > 1).sum():
        assert (sizes[counts > 1] >= 1).all()


def test_stratified_sizes_are_within_one_of_the_exact_share_for_large_classes():
    counts = np.array([101, 233, 57, 1000, 999])
    for pct in (0.1, 0.2, 0.29, 0.5):
        assert (np.abs(stratified_sizes(counts, pct) - pct * counts) < 1).all()


def test_stratified_rows_have_the_stratified_sizes():
    shuffled = np.random.Generator(np.random.PCG64(1)).permutation(LABELS)
    rows = stratified_valid_rows(shuffled, 0.2, 42)
    counts = np.bincount(shuffled[rows], minlength=4)
    assert counts.tolist() == stratified_sizes(np.bincount(LABELS), 0.2).tolist()
    assert sorted(set(rows.tolist())) == rows.tolist()


@pytest.mark.parametrize("kind", ["stratified", "random", "fastai"])
def test_equal_seeds_give_equal_splits_and_others_do_not(kind):
    first, second = (splitting(split=kind).apply(table(LABELS)).frame for _ in range(2))
    other = splitting(split=kind, split_seed=43).apply(table(LABELS)).frame
    assert first.equals(second)
    assert not first.equals(other)


@pytest.mark.parametrize("folds", [2, 3, 5, 7])
@pytest.mark.parametrize("kind", ["stratified", "random"])
def test_folds_partition_the_rows(kind, folds):
    tables = [splitting(split=kind, fold=fold, folds=folds).apply(table(LABELS)) for fold in range(folds)]
    rows = np.concatenate([each.rows("valid") for each in tables])
    assert sorted(rows.tolist()) == list(range(len(LABELS)))
    assert np.ptp([len(each.rows("valid")) for each in tables]) <= 1


@pytest.mark.parametrize("folds", [2, 3, 5, 7])
def test_stratified_folds_have_the_class_counts_of_scikit_learn(folds):
    oracle = StratifiedKFold(folds).split(LABELS[LABELS < 3], LABELS[LABELS < 3])
    for fold, (_, expected) in enumerate(oracle):
        rows = stratified_fold_rows(LABELS[LABELS < 3], fold, folds, seed=42)
        assert np.bincount(LABELS[rows]).tolist() == np.bincount(LABELS[expected]).tolist()


@pytest.mark.parametrize("folds", [2, 3, 5, 7])
def test_stratified_folds_differ_by_at_most_one_in_each_class(folds):
    counts = [
        np.bincount(LABELS[stratified_fold_rows(LABELS, fold, folds, 42)], minlength=4)
        for fold in range(folds)
    ]
    assert np.ptp(counts, axis=0).max() <= 1


def test_random_folds_differ_by_at_most_one():
    assert [len(random_fold_rows(17, fold, 5, 0)) for fold in range(5)] == [4, 4, 3, 3, 3]


def test_a_fastai_fold_is_its_slice_of_the_permutation():
    result = splitting(split="fastai", fold=3).apply(table(LABELS))
    assert result.rows("valid").tolist() == sorted(fastai_valid_rows(len(LABELS), 0.2, 42, cv_idx=3).tolist())


def test_a_fastai_fold_beyond_the_rows_is_refused():
    with pytest.raises(InputError, match=r"data\.fold=3 .*data\.split=fastai.*data\.valid_pct=0\.3"):
        splitting(split="fastai", fold=3, valid_pct=0.3).apply(table(LABELS))


@pytest.mark.parametrize("kind", ["stratified", "random", "fastai"])
def test_a_fraction_of_zero_trains_on_everything(kind, caplog):
    result = splitting(split=kind, valid_pct=0).apply(table(LABELS))
    assert len(result.rows("train")) == len(LABELS)
    assert caplog.text == ""


def test_decided_rows_stay_as_they_are():
    splits = ["train", "valid", "test", "train", "valid", *[""] * 10]
    result = splitting().apply(table([0, 1, 0, 1, 0, *[0, 1] * 5], splits))
    assert result.frame["split"].tolist()[:5] == splits[:5]
    assert len(result.rows("valid")) == 2 + 2
    assert len(result.rows("")) == 0


def test_a_table_without_open_rows_is_returned_unchanged():
    decided = table([0, 1, 0], ["train", "train", "valid"])
    assert splitting().apply(decided) is decided


def test_splitting_does_not_change_the_table_it_was_given():
    before = table(LABELS)
    frame = before.frame.copy()
    splitting().apply(before)
    assert before.frame.equals(frame)


def test_a_fold_of_data_with_validation_rows_is_refused():
    with pytest.raises(InputError, match=r"data\.fold=0 .*data\.valid=null \(or data\.valid_column=null\)"):
        splitting(fold=0).apply(table([0, 1, 0], ["train", "train", "valid"]))


@pytest.mark.fault(
    "Splits, batches and metrics", "There are more folds than pictures", "It is refused by its key"
)
def test_more_folds_than_rows_are_refused():
    with pytest.raises(InputError, match=r"data\.folds=9 is more than the 4 pictures"):
        splitting(fold=0, folds=9).apply(table([0, 0, 1, 1]))


def test_a_fraction_that_leaves_no_validation_rows_is_refused():
    with pytest.raises(InputError, match=r"data\.valid_pct=0\.1 of 4 pictures leaves none"):
        splitting(valid_pct=0.1).apply(table([0, 0, 1, 1]))


@pytest.mark.fault(
    "Splits, batches and metrics", "A split leaves only one class in training", "It is refused by its key"
)
def test_a_split_that_leaves_one_class_in_training_is_refused():
    with pytest.raises(InputError, match=r"data\.valid_pct=0\.9.*data\.split=stratified"):
        splitting(valid_pct=0.9, split="random").apply(table([0] * 9 + [1]))


def test_classes_without_validation_pictures_are_a_warning(caplog):
    splitting().apply(table(LABELS))
    assert "1 class has no validation picture: 'c3'" in caplog.text


def test_classes_without_training_pictures_are_a_warning(caplog):
    seen_in = {splitting(fold=fold).apply(table(LABELS)).labels.size for fold in range(5)}
    assert seen_in == {len(LABELS)}
    assert caplog.text.count("1 class has no training picture: 'c3'") == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"valid_pct": 1.0}, r"data\.valid_pct=1\.0: give a number from 0 to below 1"),
        ({"valid_pct": -0.1}, r"data\.valid_pct=-0\.1"),
        ({"valid_pct": float("nan")}, r"data\.valid_pct=nan"),
        ({"split_seed": -1}, r"data\.split_seed=-1"),
        ({"split_seed": 2**32}, r"data\.split_seed=4294967296"),
        ({"folds": 1}, r"data\.folds=1: give a number from 2 to 10000"),
        ({"fold": 5}, r"data\.fold=5 must be from 0 to 4 \(data\.folds=5\)"),
        ({"fold": -1}, r"data\.fold=-1: give a number from 0"),
        ({"fold": 0, "valid_pct": 0}, r"data\.fold=0 needs .*data\.valid_pct=0"),
    ],
)
def test_values_out_of_range_are_refused_by_key(changes, message):
    with pytest.raises(InputError, match=message):
        splitting(**changes)
