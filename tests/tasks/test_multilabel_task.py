"""The answers of a task with several labels, against scikit-learn and torch."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import metrics
from torch import nn

from imageclf import InputError
from imageclf.analysis.predictions_csv import predictions_table
from imageclf.model import BinaryCrossEntropy, MultilabelCrossEntropy, SamplesFBeta
from imageclf.tasks import MULTICLASS, Multilabel
from imageclf.tasks.thresholds import best_threshold, macro_fbeta

CLASSES = ("dew", "haze", "water")
TASK = Multilabel()


@pytest.fixture(scope="module")
def drawn():
    """Return probabilities and targets of 200 pictures and 5 classes, some without any label."""
    generator = np.random.default_rng(0)
    targets = (generator.random((200, 5)) < [0.5, 0.3, 0.2, 0.1, 0.05]).astype(np.float32)
    noise = generator.normal(size=targets.shape)
    return (1 / (1 + np.exp(-(2 * targets - 1 + noise)))).astype(np.float32), targets


def test_targets_are_1_for_each_label_and_unknown_only_where_they_may_be():
    may_be = np.array([False, False, True, True])
    targets = TASK.targets(["dew|water", "", "", "haze"], CLASSES, may_be)
    assert targets.tolist() == [[1, 0, 1], [0, 0, 0], [-1, -1, -1], [0, 1, 0]]
    assert TASK.counts(targets, 3).tolist() == [1, 1, 1]


def test_probabilities_are_those_of_each_class_by_itself():
    logits = torch.tensor([[0.0, 2.0, -1.0]])
    assert torch.equal(TASK.probabilities(logits), torch.sigmoid(logits))
    assert torch.allclose(TASK.logits(TASK.probabilities(logits)), logits, atol=1e-6)


def test_a_picture_is_right_if_all_its_labels_are(drawn):
    probabilities, targets = drawn
    expected = metrics.accuracy_score(targets, probabilities >= 0.5)
    assert TASK.right(probabilities, targets).mean() == pytest.approx(expected)


def test_the_loss_is_the_mean_over_classes(drawn):
    probabilities, targets = drawn
    by_class = [
        metrics.log_loss(*pair) for pair in zip(targets.T, probabilities.T.astype(float), strict=True)
    ]
    assert TASK.losses(probabilities, targets).mean() == pytest.approx(np.mean(by_class))


@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_the_mean_f_of_the_pictures_is_scikit_learns(drawn, beta):
    probabilities, targets = (torch.from_numpy(each) for each in drawn)
    expected = metrics.fbeta_score(
        targets.numpy(), probabilities.numpy() >= 0.5, beta=beta, average="samples", zero_division=1
    )
    assert float(SamplesFBeta(beta, 5)(probabilities, targets.long())) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_a_tuned_threshold_has_the_best_f_of_all(drawn, beta):
    probabilities, targets = (each[:40, :3] for each in drawn)
    for each, truth in zip(probabilities.T, targets.T, strict=True):
        scores = [metrics.fbeta_score(truth, each >= cut, beta=beta) for cut in each]
        tuned = metrics.fbeta_score(truth, each >= best_threshold(each, truth, beta), beta=beta)
        assert tuned == pytest.approx(max(scores))


@pytest.mark.parametrize("truth", [0.0, 1.0])
def test_a_class_without_both_answers_keeps_one_half(truth):
    assert best_threshold(np.array([0.1, 0.9]), np.full(2, truth), 1.0) == 0.5


def test_the_macro_f_is_scikit_learns(drawn):
    probabilities, targets = drawn
    expected = metrics.fbeta_score(targets, probabilities >= 0.3, beta=2, average="macro")
    assert macro_fbeta(probabilities >= 0.3, targets, 2.0) == pytest.approx(expected)


def test_thresholds_go_into_the_summary_and_come_back(drawn):
    tuned = TASK.fitted(*drawn)
    assert tuned.facts()["task"] == "multilabel"
    assert TASK.restored(tuned.facts(), 5) == tuned
    assert tuned.decide(drawn[0], list("abcde")) != TASK.decide(drawn[0], list("abcde"))


def test_a_number_as_threshold_is_not_tuned_and_goes_into_the_summary(drawn):
    task = Multilabel(threshold=0.2).fitted(*drawn)
    assert task.facts() == {"task": "multilabel", "threshold": 0.2}


@pytest.mark.parametrize("found", [[0.5], "0.5", [0.1, 2, 0.3, 0.4, 0.5]])
def test_damaged_thresholds_are_refused(found):
    with pytest.raises(InputError, match="thresholds are one number from 0 to 1 for each class"):
        TASK.restored({"thresholds": found}, 5)


def test_labels_from_their_thresholds_on_are_predicted():
    task = Multilabel(thresholds=(0.5, 0.2, 0.9))
    assert task.decide(np.array([[0.5, 0.1, 0.8], [0.4, 0.3, 0.9], [0, 0, 0]]), CLASSES) == [
        "dew",
        "haze|water",
        "",
    ]


def test_several_runs_decide_by_the_mean_of_their_thresholds():
    tasks = [Multilabel(thresholds=(0.2, 0.4)), Multilabel(thresholds=(0.4, 0.8))]
    assert tasks[0].averaged(tasks).thresholds == pytest.approx((0.3, 0.6))
    with pytest.raises(InputError, match="task=multiclass cannot be averaged with one of task=multilabel"):
        tasks[0].averaged([*tasks, MULTICLASS])


def test_a_run_without_tuned_thresholds_has_its_part_in_the_mean():
    tuned, usual = Multilabel(thresholds=(0.1, 0.9)), Multilabel(threshold=0.3)
    for first in (tuned, usual):
        assert first.averaged([tuned, usual]).thresholds == pytest.approx((0.2, 0.6))
    assert usual.averaged([usual, TASK]).threshold == pytest.approx(0.4)


def test_the_loss_is_torchs_with_weights_of_present_labels():
    logits, targets = torch.randn(6, 3), (torch.rand(6, 3) < 0.5).float()
    weight = torch.tensor([1.0, 2.0, 3.0])
    expected = nn.BCEWithLogitsLoss(pos_weight=weight)(logits, targets)
    assert torch.equal(MultilabelCrossEntropy(weight=weight)(logits, targets), expected)
    smooth = nn.BCEWithLogitsLoss()(logits, targets * 0.9 + 0.05)
    assert torch.allclose(MultilabelCrossEntropy(label_smoothing=0.1)(logits, targets), smooth)


def test_weights_of_classes_make_up_for_their_rarity():
    assert TASK.balance({"a": 10, "b": 50}, 100).tolist() == [9.0, 1.0]


@pytest.mark.parametrize("loss", [nn.CrossEntropyLoss(), nn.CrossEntropyLoss(label_smoothing=0.1)])
def test_a_loss_of_one_class_of_each_picture_is_refused(loss):
    with pytest.raises(InputError, match="CrossEntropyLoss takes each picture for one of the classes"):
        TASK.check_loss(loss, 4)


def test_a_loss_that_leaves_out_pictures_without_a_label_is_refused():
    with pytest.raises(InputError, match="BinaryCrossEntropy takes each picture for one of the classes"):
        TASK.check_loss(BinaryCrossEntropy(weight=torch.ones(4)), 4)


@pytest.mark.parametrize("loss", [MultilabelCrossEntropy(), nn.BCEWithLogitsLoss(), BinaryCrossEntropy()])
def test_a_loss_of_yes_or_no_is_accepted(loss):
    for num_classes in range(2, 9):
        TASK.check_loss(loss, num_classes)


def test_a_picture_counts_for_its_rarest_class_in_oversampling():
    targets = TASK.targets(["dew|haze", "dew", "", "haze|water", "dew"], CLASSES)
    assert TASK.strata(targets).tolist() == [1, 0, 3, 2, 0]


def test_a_summary_counts_each_label_that_is_predicted():
    probabilities = np.array([[0.9, 0.2, 0.8], [0.7, 0.1, 0.2]])
    table = pd.DataFrame(probabilities, columns=CLASSES).assign(prediction=["dew|water", "dew"])
    rows = TASK.summary(table, CLASSES).to_dict("records")
    assert rows == [
        {"prediction": "dew", "pictures": 2, "confidence": pytest.approx(0.8), "unsure": 0},
        {"prediction": "water", "pictures": 1, "confidence": pytest.approx(0.8), "unsure": 0},
    ]


def test_a_label_that_is_no_class_is_refused_by_its_name():
    with pytest.raises(InputError, match="the label 'fog' is not one of the 3 classes"):
        TASK.targets(["dew", "dew|fog"], CLASSES)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"separator": ""}, "task.separator='' separates nothing"),
        ({"threshold": 1.0}, "task.threshold=1.0: give tuned, or a number between 0 and 1"),
        ({"beta": 0.0}, "task.beta=0.0: give a number above 0"),
        # Its square would be too large for a float, at the end of the training.
        ({"beta": 1e300}, "task.beta=1e[+]300: give a number above 0, up to 1000"),
    ],
)
def test_a_value_outside_its_range_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        Multilabel(**options)


def test_the_worst_label_of_each_class_comes_before_the_second_of_any():
    likely = np.array([[0.1, 0.9, 0.2], [0.3, 0.1, 0.2], [0.9, 0.95, 0.9], [0.2, 0.1, 0.7]])
    labels = ["dew", "dew", "dew|haze", "dew|water"]
    rows = predictions_table(list("abcd"), list("abcd"), labels, likely, CLASSES, TASK.decide)
    found = [(each.row, each.prediction, each.truth) for each in TASK.most_wrong(rows, CLASSES, 5)]
    # dew is missed in a, b and d; haze is invented in a and water in c.
    first = [(0, "no dew", "dew"), (0, "haze", "no haze"), (2, "water", "no water")]
    assert found == [*first, (3, "no dew", "dew"), (1, "no dew", "dew")]


def test_right_answers_are_labels_that_were_found_the_surest_first():
    likely = np.array([[0.6, 0.1, 0.1], [0.9, 0.8, 0.9]])
    rows = predictions_table(list("ab"), list("ab"), ["dew", "dew|haze"], likely, CLASSES, TASK.decide)
    found = TASK.most_right(rows, CLASSES, None)
    assert [(each.row, each.prediction, each.probability) for each in found] == [
        (1, "dew", 0.9),
        (1, "haze", 0.8),
        (0, "dew", 0.6),
    ]
