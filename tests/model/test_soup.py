"""The greedy soup, on probabilities made by hand."""

import numpy as np
import pytest
import torch

from imageclf.model.weights.averaging import average_weights, blend
from imageclf.model.weights.soup import Score, greedy_soup

LABELS = np.array([0, 0, 1, 1])


def score(probabilities):
    """Return accuracy and loss of probabilities `[4]` of class 1."""
    chosen = np.where(LABELS == 1, probabilities, 1 - probabilities)
    return Score(float((chosen > 0.5).mean()), float(-np.log(chosen).mean()))


def soup(ingredients):
    """Return the soup of models whose weights are their probabilities of class 1, and what was judged."""
    states = {name: {"p": torch.tensor(each, dtype=torch.float64)} for name, each in ingredients.items()}
    judged = []

    def judge(state):
        judged.append(state["p"].numpy())
        return score(state["p"].numpy())

    scores = {name: score(np.array(each)) for name, each in ingredients.items()}
    return greedy_soup(scores, states.__getitem__, judge), judged


def test_the_best_comes_first_and_one_that_helps_is_added():
    # b is right on 3 of 4, a on 2; their mean is right on all.
    result, _ = soup({"a": [0.1, 0.9, 0.4, 0.9], "b": [0.4, 0.05, 0.7, 0.45]})
    assert result.members == ("b", "a")
    np.testing.assert_allclose(result.state["p"], [0.25, 0.475, 0.55, 0.675])
    assert result.score.accuracy == 1


def test_one_that_makes_it_less_accurate_is_left_out():
    result, _ = soup({"good": [0.4, 0.4, 0.6, 0.6], "bad": [0.9, 0.9, 0.1, 0.1]})
    assert result.members == ("good",)
    np.testing.assert_array_equal(result.state["p"], [0.4, 0.4, 0.6, 0.6])


def test_as_accurate_with_a_lower_loss_is_better():
    # Each is sure of other pictures: the mean of the logarithms is lower than the logarithm of the mean.
    result, _ = soup({"a": [0.01, 0.45, 0.55, 0.99], "b": [0.45, 0.01, 0.99, 0.55]})
    assert set(result.members) == {"a", "b"}


def test_as_accurate_with_the_same_loss_is_not_better():
    result, judged = soup({"a": [0.2, 0.3, 0.8, 0.9], "same": [0.2, 0.3, 0.8, 0.9]})
    assert result.members == ("a",)
    assert len(judged) == 1


def test_among_equally_accurate_the_surest_is_tried_first():
    result, _ = soup({"unsure": [0.4, 0.4, 0.6, 0.6], "sure": [0.1, 0.1, 0.9, 0.9]})
    assert result.members == ("sure",)


def test_after_one_that_is_left_out_the_next_is_tried_on_the_soup_without_it():
    ingredients = {"a": [0.1, 0.6, 0.7, 0.8], "bad": [0.9, 0.9, 0.9, 0.9], "c": [0.6, 0.1, 0.45, 0.45]}
    result, judged = soup(ingredients)
    assert result.members == ("a", "c")
    np.testing.assert_allclose(judged[-1], np.mean([ingredients["a"], ingredients["c"]], axis=0))


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_recipe_of_the_paper(seed):
    drawn = np.random.default_rng(seed).random((6, 4))
    ingredients = {str(index): row.tolist() for index, row in enumerate(drawn)}
    order = sorted(range(6), key=lambda index: (-score(drawn[index]).accuracy, score(drawn[index]).loss))
    chosen = [order[0]]
    for index in order[1:]:
        now, before = (score(drawn[rows].mean(0)) for rows in ([*chosen, index], chosen))
        if now.accuracy > before.accuracy or (now.accuracy == before.accuracy and now.loss < before.loss):
            chosen.append(index)
    result, _ = soup(ingredients)
    assert result.members == tuple(map(str, chosen))
    np.testing.assert_allclose(result.state["p"], drawn[chosen].mean(0), rtol=1e-12)


def states(count, dtype=torch.float32):
    """Draw state dicts of a float tensor and a counter."""
    generator = torch.Generator().manual_seed(0)
    return [
        {"weight": torch.randn(4, 3, generator=generator).to(dtype), "count": torch.tensor(10 * index)}
        for index in range(count)
    ]


def test_blending_one_by_one_gives_the_average_of_all():
    first, *others = drawn = states(5)
    average = first
    for count, state in enumerate(others, 1):
        average = blend(average, state, count)
    torch.testing.assert_close(average, average_weights(drawn))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_blending_equal_weights_changes_nothing(dtype):
    state = states(1, dtype)[0]
    assert torch.equal(blend(state, state, 2)["weight"], state["weight"])
