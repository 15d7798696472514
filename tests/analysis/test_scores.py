import numpy as np
import pytest
from sklearn import metrics

from imageclf import InputError
from imageclf.analysis.confusion import class_accuracies, confusion_matrix
from imageclf.analysis.scores import accuracy, log_loss

RNG = np.random.default_rng(0)
PROBABILITIES = RNG.dirichlet(np.ones(7), size=200)
LABELS = RNG.integers(0, 7, 200)


def test_accuracy_is_that_of_scikit_learn():
    expected = metrics.accuracy_score(LABELS, PROBABILITIES.argmax(axis=1))
    assert accuracy(PROBABILITIES, LABELS) == pytest.approx(expected)


def test_log_loss_is_that_of_scikit_learn():
    expected = metrics.log_loss(LABELS, PROBABILITIES, labels=range(7))
    assert log_loss(PROBABILITIES, LABELS) == pytest.approx(expected)


def test_a_certain_mistake_costs_a_finite_log_loss():
    certain = np.array([[1.0, 0.0]], dtype=np.float32)
    assert log_loss(certain, np.array([1])) == pytest.approx(15 * np.log(10))


def test_class_accuracies_are_the_recalls_of_scikit_learn():
    predictions = PROBABILITIES.argmax(axis=1)
    expected = metrics.recall_score(LABELS, predictions, average=None)
    assert class_accuracies(confusion_matrix(LABELS, predictions, 7)) == pytest.approx(expected)


def test_a_class_without_pictures_has_no_accuracy():
    assert np.isnan(class_accuracies(np.array([[3, 1], [0, 0]]))[1])


@pytest.mark.parametrize("score", [accuracy, log_loss])
@pytest.mark.parametrize(
    ("labels", "message"),
    [([0, 1], "do not match"), ([0, 1, 2], "allowed are 0 to 1"), ([0, -1, 0], "without a known class")],
)
def test_a_score_refuses_labels_that_do_not_fit(score, labels, message):
    with pytest.raises(InputError, match=message):
        score(np.full((3, 2), 0.5), np.array(labels))


def test_no_pictures_have_no_accuracy():
    with pytest.raises(InputError, match="no pictures"):
        accuracy(np.zeros((0, 2)), np.zeros(0, dtype=int))
