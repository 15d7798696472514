import numpy as np
import pytest
from sklearn import metrics

from imageclf import InputError
from imageclf.analysis.confusion import class_scores, confusion_matrix, most_confused


@pytest.mark.parametrize("num_classes", [2, 6, 120])
def test_the_matrix_is_that_of_scikit_learn(num_classes):
    rng = np.random.default_rng(num_classes)
    labels, predictions = rng.integers(0, num_classes, (2, 500))
    expected = metrics.confusion_matrix(labels, predictions, labels=range(num_classes))
    assert np.array_equal(confusion_matrix(labels, predictions, num_classes), expected)


def test_small_integers_do_not_overflow():
    labels = np.full(3, 119, dtype=np.uint8)
    assert confusion_matrix(labels, labels, 120)[119, 119] == 3


def test_no_pictures_give_a_matrix_of_zeros():
    nothing = np.zeros(0, dtype=np.int64)
    assert confusion_matrix(nothing, nothing, 3).tolist() == [[0] * 3] * 3


def test_a_label_outside_the_classes_is_refused():
    with pytest.raises(InputError, match=r"a label is outside 0\.\.1"):
        confusion_matrix(np.array([-1, 0]), np.array([0, 0]), 2)


def test_labels_and_predictions_of_different_number_are_refused():
    with pytest.raises(InputError, match="2 labels do not match 1 predictions"):
        confusion_matrix(np.array([0, 0]), np.array([0]), 2)


MATRIX = np.array([[9, 1, 2], [0, 9, 5], [2, 0, 9]])


def test_the_most_frequent_mistake_comes_first_and_ties_stay_in_class_order():
    pairs = most_confused(MATRIX, ["a", "b", "c"])
    assert pairs == [("b", "c", 5), ("a", "c", 2), ("c", "a", 2), ("a", "b", 1)]


def test_a_perfect_model_confuses_nothing():
    assert most_confused(np.diag([4, 5]), ["a", "b"]) == []


def test_precision_recall_and_f1_are_those_of_scikit_learn():
    labels, predictions = np.random.default_rng(1).integers(0, 5, (2, 200))
    expected = metrics.precision_recall_fscore_support(labels, predictions)[:3]
    assert np.allclose(class_scores(confusion_matrix(labels, predictions, 5)), expected)


def test_a_class_without_pictures_has_no_recall_and_one_never_predicted_no_precision():
    scores = class_scores(np.array([[3, 0, 1], [2, 0, 0], [0, 0, 0]]))
    assert np.isnan(scores.precision).tolist() == [False, True, False]
    assert np.isnan(scores.recall).tolist() == [False, False, True]
    assert scores.f1 == pytest.approx([2 / 3, 0, 0])
