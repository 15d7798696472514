"""The accuracy of the best candidate on pictures that did not choose it."""

from itertools import combinations

import numpy as np
import pytest

from imageclf.analysis.crossfit import PictureScores, clear_best, crossfitted, halves, most_accurate, stacked
from imageclf.analysis.scores import wilson_interval

TWO_CLASSES = np.repeat([0, 1], 4)


def drawn(shares, pictures, generator):
    """Return candidates that classify each picture right with a probability of their own."""
    right = generator.random((len(shares), pictures)) < np.array(shares)[:, None]
    return [PictureScores(row, generator.random(pictures)) for row in right]


def every_halving(labels):
    """Yield all halves with equally many pictures of two classes."""
    first, second = (np.flatnonzero(labels == label).tolist() for label in (0, 1))
    for some in combinations(first, len(first) // 2):
        for others in combinations(second, len(second) // 2):
            yield {*some, *others}


def by_hand(candidates, labels):
    """Return the mean accuracy over all halvings, picture by picture."""
    everything, shares = set(range(len(labels))), []
    for half in every_halving(labels):
        rest = everything - half
        best = max(candidates, key=lambda each: (each.right[[*half]].sum(), -each.losses[[*half]].sum()))
        shares.append(sum(bool(best.right[row]) for row in rest) / len(rest))
    return np.mean(shares)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_mean_over_all_halvings_but_for_their_draw(seed):
    candidates = drawn([0.5, 0.6, 0.7, 0.6], 8, np.random.default_rng(seed))
    means = [crossfitted(candidates, TWO_CLASSES, each).accuracy for each in range(20)]
    assert np.mean(means) == pytest.approx(by_hand(candidates, TWO_CLASSES), abs=0.01)


def test_over_many_draws_it_is_what_the_chosen_candidate_is_worth_and_the_best_is_more():
    shares, labels = np.full(10, 0.8), np.arange(60) % 3
    generator = np.random.default_rng(0)
    draws = [drawn(shares, 60, generator) for _ in range(150)]
    found = np.array([crossfitted(each, labels, seed).accuracy for seed, each in enumerate(draws)])
    best = np.array([max(one.right.mean() for one in each) for each in draws])
    error = found.std(ddof=1) / np.sqrt(len(found))
    assert abs(found.mean() - 0.8) < error
    assert best.mean() - 0.8 > 10 * error


@pytest.mark.parametrize("seed", range(5))
def test_it_is_never_above_the_best_on_all_pictures(seed):
    candidates = drawn([0.5, 0.7, 0.7], 21, np.random.default_rng(seed))
    assert crossfitted(candidates, np.arange(21) % 2, seed).accuracy <= max(
        each.right.mean() for each in candidates
    )


def test_of_one_candidate_it_is_the_accuracy_and_its_interval():
    (only,) = drawn([0.8], 30, np.random.default_rng(1))
    right = int(only.right.sum())
    assert crossfitted([only], np.zeros(30, dtype=int), 0) == (right / 30, *wilson_interval(right, 30))


def test_where_every_picture_is_right_the_interval_is_no_point():
    perfect = PictureScores(np.ones(30, dtype=bool), np.zeros(30))
    accuracy, low, high = crossfitted([perfect], np.zeros(30, dtype=int), 0)
    assert (accuracy, high) == (1, 1)
    assert low == pytest.approx(0.886, abs=1e-3)


def test_it_is_a_function_of_the_seed():
    candidates, labels = drawn([0.7, 0.7, 0.7], 20, np.random.default_rng(2)), np.arange(20) % 2
    assert crossfitted(candidates, labels, 3) == crossfitted(candidates, labels, 3)
    assert len({crossfitted(candidates, labels, seed) for seed in range(5)}) > 1


def test_a_single_picture_has_no_halves():
    assert crossfitted(drawn([0.5], 1, np.random.default_rng(0)), np.array([0]), 0) is None


def test_the_halves_and_each_class_in_them_differ_by_at_most_one_picture():
    labels = np.array([0] * 7 + [1] * 4 + [3] * 1 + [2] * 9)
    for half in halves(labels, seed=0, number=20):
        for chosen in (np.ones(len(labels), dtype=bool), *(labels == label for label in range(4))):
            assert abs(int(half[chosen].sum()) - int((~half)[chosen].sum())) <= 1


def test_the_halves_differ_from_each_other():
    assert len({half.tobytes() for half in halves(np.zeros(30, dtype=int), seed=0, number=20)}) == 20


def scores(*counts, pictures=100):
    """Return candidates of which each has so many of the first pictures right, and equal losses."""
    right = [np.arange(pictures) < count for count in counts]
    return stacked([PictureScores(each, np.ones(pictures)) for each in right])


# Of n pictures that only the best has right, the gain is n, and its standard error is nearly the root of n.
@pytest.mark.parametrize(("more", "chosen"), [(1, 0), (3, 0), (4, 1), (9, 1)])
def test_the_best_is_clearly_better_from_four_pictures_on_that_the_first_alone_has_wrong(more, chosen):
    assert clear_best(scores(60, 60 + more)) == chosen
    assert most_accurate(scores(60, 60 + more)) == 1


def test_pictures_that_the_first_alone_has_right_count_against_the_best():
    right = np.zeros((2, 100), dtype=bool)
    right[0, :10], right[1, 10:16], right[1, 6:10] = True, True, True
    worse = PictureScores(right, np.ones((2, 100)))
    right = right.copy()
    right[1, :6] = True
    assert [clear_best(each) for each in (worse, PictureScores(right, np.ones((2, 100))))] == [0, 1]


def test_where_no_candidate_is_more_accurate_a_clearly_lower_loss_is_better():
    generator = np.random.default_rng(0)
    losses = np.stack([np.ones(50), generator.normal(0.9, 0.1, 50), generator.normal(0.99, 0.1, 50)])
    numbers = PictureScores(np.zeros((3, 50), dtype=bool), losses)
    assert clear_best(numbers) == 1
    assert clear_best(PictureScores(numbers.right[[0, 2]], losses[[0, 2]])) == 0


def test_a_candidate_is_not_clearly_better_than_itself_or_by_a_single_picture():
    assert clear_best(scores(60)) == clear_best(scores(60, 60)) == clear_best(scores(0, 1, pictures=1)) == 0


def test_of_equally_good_candidates_the_best_is_rarely_clearly_better_and_costs_little_where_one_is():
    generator, labels = np.random.default_rng(0), np.zeros(60, dtype=int)
    equal = [drawn(np.full(8, 0.8), 60, generator) for _ in range(200)]
    assert np.mean([clear_best(stacked(each)) > 0 for each in equal]) < 0.2
    found = [crossfitted(each, labels, 0, clear_best).accuracy for each in equal[:50]]
    assert np.mean(found) == pytest.approx(0.8, abs=0.02)
    better = [drawn([0.6, *[0.8] * 7], 60, generator) for _ in range(200)]
    assert np.mean([clear_best(stacked(each)) > 0 for each in better]) > 0.95
