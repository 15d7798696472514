import numpy as np

from imageclf.analysis.extremes import most_right, most_uncertain, most_wrong

PROBABILITIES = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.45, 0.55], [0.05, 0.95]])
LABELS = np.array([0, 1, 0, 1, 1])


def test_the_surest_mistake_is_the_most_wrong():
    assert most_wrong(PROBABILITIES, LABELS).tolist() == [2, 1]


def test_the_surest_hit_is_the_most_right():
    assert most_right(PROBABILITIES, LABELS).tolist() == [4, 0, 3]


def test_the_picture_nearest_to_a_guess_is_the_most_uncertain():
    assert most_uncertain(PROBABILITIES).tolist() == [3, 1, 2, 0, 4]


def test_no_more_than_k_pictures_are_returned():
    assert most_right(PROBABILITIES, LABELS, k=2).tolist() == [4, 0]


def test_a_picture_of_unknown_class_is_neither_right_nor_wrong():
    unknown = np.full(5, -1)
    assert most_wrong(PROBABILITIES, unknown).size == most_right(PROBABILITIES, unknown).size == 0


def test_equal_pictures_stay_in_table_order():
    assert most_uncertain(np.full((4, 2), 0.5)).tolist() == [0, 1, 2, 3]
