"""Further metrics of predictions, against scikit-learn and by hand."""

import math

import numpy as np
import pytest
import torch
import torchmetrics
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score, top_k_accuracy_score
from torchmetrics import classification

from imageclf import InputError
from imageclf.model import BalancedAccuracy
from imageclf.model.metrics import check_metric, further_scores
from imageclf.model.predictions import Predictions


def drawn(count=60, classes=7, present=7):
    """Draw predictions of the first `present` of some classes."""
    generator = np.random.default_rng(count)
    labels = generator.integers(0, present, count)
    probabilities = generator.dirichlet(np.ones(classes), count).astype(np.float32)
    return Predictions(torch.arange(count), torch.from_numpy(labels), torch.from_numpy(probabilities))


def score(metric, predictions):
    return further_scores({"it": metric}, predictions)["it"]


def calibration_error(labels, probabilities, num_bins):
    """Return the mean distance of confidence and accuracy over bins of equal width."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    inside = [bins == number for number in np.unique(bins)]
    return sum(abs(right[each].mean() - confidence[each].mean()) * each.mean() for each in inside)


def one_against_the_rest(labels, probabilities):
    return np.mean([roc_auc_score(labels == each, probabilities[:, each]) for each in range(7)])


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (
            classification.MulticlassAccuracy(7, top_k=5, average="micro"),
            lambda labels, p: top_k_accuracy_score(labels, p, k=5, labels=range(7)),
        ),
        (
            BalancedAccuracy(7),
            lambda labels, p: balanced_accuracy_score(labels, p.argmax(axis=1)),
        ),
        (
            classification.MulticlassF1Score(7, average="macro"),
            lambda labels, p: f1_score(labels, p.argmax(axis=1), average="macro"),
        ),
        (classification.MulticlassAUROC(7, average="macro"), one_against_the_rest),
        (
            classification.MulticlassCalibrationError(7, n_bins=15),
            lambda labels, p: calibration_error(labels, p, 15),
        ),
        (
            torchmetrics.F1Score(task="multiclass", num_classes=7, average="weighted"),
            lambda labels, p: f1_score(labels, p.argmax(axis=1), average="weighted"),
        ),
        (lambda probabilities, labels: probabilities.shape[1] + len(labels), lambda labels, p: 67.0),
    ],
    ids=["acc_top5", "acc_macro", "f1_macro", "auroc", "ece", "by task", "a function"],
)
def test_a_metric_is_what_others_make_of_the_predictions(metric, expected):
    predictions = drawn()
    value = score(metric, predictions)
    assert type(value) is float
    oracle = expected(predictions.labels.numpy(), predictions.probabilities.double().numpy())
    assert value == pytest.approx(oracle, abs=1e-6)


# scikit-learn warns of predictions of a class without pictures.
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true:UserWarning")
@pytest.mark.parametrize("present", [1, 4, 6])
def test_classes_without_a_picture_do_not_count_in_the_balanced_accuracy(present):
    predictions = drawn(present=present)
    predicted = predictions.probabilities.argmax(dim=1)
    oracle = balanced_accuracy_score(predictions.labels.numpy(), predicted.numpy())
    assert score(BalancedAccuracy(7), predictions) == pytest.approx(oracle, abs=1e-6)


def test_metrics_come_by_name_in_their_order():
    metrics = {"b": classification.MulticlassF1Score(7), "a": classification.MulticlassAUROC(7)}
    assert list(further_scores(metrics, drawn())) == ["b", "a"]


def test_nothing_of_one_validation_is_left_for_the_next():
    metric = classification.MulticlassAUROC(7)
    score(metric, drawn(80))
    assert metric.update_called is False
    assert score(metric, drawn(60)) == score(classification.MulticlassAUROC(7), drawn(60))


def test_the_predictions_stay_as_they_are():
    predictions = drawn()
    before = predictions.probabilities.clone()
    score(classification.MulticlassCalibrationError(7), predictions)
    assert torch.equal(predictions.probabilities, before)


def test_what_rounding_lifts_above_one_is_no_logit():
    predictions = drawn()
    sure = predictions._replace(probabilities=torch.eye(7)[predictions.labels] * (1 + 1e-6))
    assert score(classification.MulticlassCalibrationError(7), sure) == pytest.approx(0, abs=1e-6)


def refuse(probabilities, labels):
    raise RuntimeError("no\nsuch thing")


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (classification.MulticlassAUROC(7), "No positive samples in targets"),
        (classification.MulticlassAveragePrecision(7), "Average precision score for one or more classes was"),
        (lambda probabilities, labels: math.nan, "it is not finite"),
        (lambda probabilities, labels: torch.tensor(math.inf), "it is not finite"),
        (refuse, "no"),
        (classification.MulticlassConfusionMatrix(7), "it does not give one number"),
    ],
)
def test_a_metric_that_cannot_be_computed_is_nan_with_one_notice_that_names_it(metric, reason):
    notices = []
    metrics = {"odd": metric, "f1": classification.MulticlassF1Score(7)}
    scores = further_scores(metrics, drawn(present=5), notices.append)
    assert math.isnan(scores["odd"])
    assert scores["f1"] > 0
    (notice,) = notices
    assert notice.startswith(f"metrics.odd cannot be computed: {reason}")
    assert "\n" not in notice


def test_a_metric_that_failed_is_computed_the_next_time():
    metric = classification.MulticlassAUROC(7)
    assert math.isnan(score(metric, drawn(present=5)))
    assert score(metric, drawn()) == score(classification.MulticlassAUROC(7), drawn())


NAMES = ("Accuracy", "F1Score", "AUROC", "CalibrationError", "CohenKappa", "AveragePrecision")


@pytest.mark.parametrize("num_classes", [2, 3, 120, 1000])
@pytest.mark.parametrize("name", NAMES)
def test_a_metric_of_several_classes_passes(name, num_classes):
    metric = getattr(classification, f"Multiclass{name}")(num_classes)
    assert check_metric("it", metric, num_classes) is None


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        (classification.MulticlassConfusionMatrix(3), "it does not give one number"),
        (classification.MulticlassF1Score(3, average="none"), "it does not give one number"),
        (torchmetrics.MeanSquaredError(), "Predictions and targets are expected to have the same shape"),
        (classification.BinaryAUROC(), ""),
        (classification.MulticlassROC(3), ""),
    ],
)
def test_what_is_no_metric_of_several_classes_is_refused_in_one_sentence(metric, reason):
    with pytest.raises(InputError) as refused:
        check_metric("it", metric, 3)
    sentence = "metrics.it is no metric of probabilities [N, C] and labels [N]: "
    assert str(refused.value).startswith(sentence + reason)
    assert "\n" not in str(refused.value)
