"""Cross-validation, against numpy and scikit-learn."""

import numpy as np
import pytest
from run_records import fold, record
from sklearn.metrics import accuracy_score
from sklearn.metrics import log_loss as sklearn_log_loss

from imageclf import InputError
from imageclf.analysis.folds import find_folds, find_seeds, fold_summary, fold_table, out_of_fold, seed_table


def probabilities(*of_cat: float) -> np.ndarray:
    return np.array([[share, 1 - share] for share in of_cat])


@pytest.fixture
def folds():
    """Return three folds with accuracies 1, 0.5 and 0.75."""
    return [
        fold(2, probabilities(0.9, 0.2), ["cat", "dog"]),
        fold(0, probabilities(0.8, 0.7), ["cat", "dog"]),
        fold(1, probabilities(0.6, 0.4, 0.1, 0.3), ["cat", "dog", "cat", "dog"]),
    ]


def test_folds_are_found_in_their_order(folds):
    (found,) = find_folds(folds)
    assert [run.name for run in found.runs] == ["sweep/0", "sweep/1", "sweep/2"]
    assert (found.number, found.replaced) == (3, [])


def test_runs_that_differ_in_more_than_the_fold_are_other_folds():
    runs = [fold(number, probabilities(0.9), ["cat"], seed=seed) for seed in (1, 2) for number in (0, 1)]
    assert [len(found.runs) for found in find_folds(runs)] == [2, 2]


def test_runs_without_a_fold_or_without_predictions_are_no_folds():
    assert find_folds([record(config={"data": {"fold": None}}), record(config={"data": {"fold": 1}})]) == []


def test_a_fold_that_ran_again_counts_once(folds):
    (found,) = find_folds([*folds, fold(0, probabilities(0.1, 0.1), ["cat", "dog"], name="tomorrow/0")])
    assert [run.name for run in found.runs] == ["tomorrow/0", "sweep/1", "sweep/2"]
    assert found.replaced == ["sweep/0"]


def test_out_of_fold_predictions_hold_every_picture_once(folds):
    (found,) = find_folds(folds)
    joined = out_of_fold(found)
    assert joined["path"].tolist() == ["0-0", "0-1", "1-0", "1-1", "1-2", "1-3", "2-0", "2-1"]


def test_out_of_fold_scores_are_those_of_all_pictures_together(folds):
    (found,) = find_folds(folds)
    joined, summary = out_of_fold(found), fold_summary(found)
    assert summary["oof/acc"] == accuracy_score(joined["label"], joined["prediction"])
    expected = sklearn_log_loss(joined["label"], joined[["cat", "dog"]].to_numpy(), labels=["cat", "dog"])
    assert summary["oof/loss"] == pytest.approx(expected)


def test_a_score_is_summed_up_as_mean_and_standard_deviation(folds):
    (found,) = find_folds(folds)
    summary = fold_summary(found)
    assert summary["val/acc mean"] == pytest.approx(np.mean([1, 0.5, 0.75]))
    assert summary["val/acc std"] == pytest.approx(np.std([1, 0.5, 0.75], ddof=1))


def test_the_table_names_what_tells_cross_validations_apart():
    runs = [fold(number, probabilities(0.9), ["cat"], seed=seed) for seed in (1, 2) for number in (0, 1)]
    table = fold_table(find_folds(runs))
    assert table[["seed", "folds_done", "folds"]].to_numpy().tolist() == [["1", 2, 3], ["2", 2, 3]]


def test_a_picture_that_two_folds_hold_out_is_refused(folds):
    again = fold(1, probabilities(0.6, 0.4), ["cat", "dog"])
    again.predictions["path"] = ["0-1", "1-1"]
    (found,) = find_folds([folds[1], again])
    with pytest.raises(InputError, match="two folds hold out '0-1'"):
        out_of_fold(found)


def test_folds_of_other_classes_are_refused(folds):
    folds[0].classes[:] = ["cat", "owl"]
    (found,) = find_folds(folds)
    with pytest.raises(InputError, match="sweep/2 has other classes than sweep/0"):
        out_of_fold(found)


def seeds(*accuracies: float, **config):
    return [record(f"s{n}", {"seed": n, **config}, (score,)) for n, score in enumerate(accuracies)]


def test_runs_that_differ_only_in_the_seed_are_summed_up():
    runs = [*seeds(0.5, 0.7, 0.9), record("other", {"seed": 0, "data": {"size": 64}})]
    (group,) = find_seeds(runs)
    row = seed_table([group]).iloc[0]
    assert (row["seeds"], row["val/acc mean"]) == (3, pytest.approx(0.7))
    assert row["val/acc std"] == pytest.approx(np.std([0.5, 0.7, 0.9], ddof=1))


def test_a_seed_that_ran_again_counts_once_and_an_unfinished_run_does_not_count():
    again = record("tomorrow", {"seed": 0}, (0.1,))
    running = record("running", {"seed": 9}, (0.2,), status="running")
    (group,) = find_seeds([*seeds(0.5, 0.7), again, running])
    assert sorted(run.name for run in group) == ["s1", "tomorrow"]


def test_one_seed_alone_has_no_spread():
    assert find_seeds(seeds(0.5)) == []


def test_groups_of_seeds_are_told_apart_by_their_settings():
    runs = [*seeds(0.5, 0.7, model={"backbone": "a"}), *seeds(0.5, 0.7, model={"backbone": "b"})]
    assert seed_table(find_seeds(runs))["model.backbone"].tolist() == ["a", "b"]
