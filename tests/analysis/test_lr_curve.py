import math

import numpy as np
import pytest

from imageclf import InputError
from imageclf.analysis.lr_curve import (
    Curve,
    Suggestion,
    diverged,
    smooth,
    standard_error,
    suggest,
    sweep,
    trimmed,
)

METHODS = ["valley", "slide", "steepest", "minimum"]
RATES = sweep(1e-7, 10, 100)


def bowl(noise=0.0, seed=0):
    """Draw a curve as searches give: flat, a fall of three decades, a sharp rise."""
    x = np.log10(RATES)
    fall = 2.3 - 1.5 / (1 + np.exp(-2.5 * (x + 3)))
    rise = np.where(x > -0.5, (x + 0.5) ** 2 * 3, 0.0)
    return (fall + rise + noise * np.random.default_rng(seed).normal(size=len(x))).tolist()


def test_a_sweep_starts_and_ends_where_it_is_told():
    assert (RATES[0], RATES[-1]) == pytest.approx((1e-7, 10))


def test_neighbours_of_a_sweep_have_equal_ratios():
    np.testing.assert_allclose(RATES, np.geomspace(1e-7, 10, 100), rtol=1e-12)


@pytest.mark.parametrize(("low", "high", "steps"), [(0, 1, 10), (1, 1, 10), (2, 1, 10), (1e-5, 1, 1)])
def test_a_sweep_that_does_not_rise_is_refused(low, high, steps):
    with pytest.raises(InputError, match=r"callbacks\.lr_finder: num_steps"):
        sweep(low, high, steps)


def test_smoothing_a_constant_changes_nothing():
    assert smooth([3.0] * 20, 0.98) == pytest.approx([3.0] * 20)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.98])
def test_a_smoothed_loss_is_the_weighted_mean_of_those_before(beta):
    losses = np.random.default_rng(0).normal(size=30)
    expected = [np.average(losses[: n + 1], weights=beta ** np.arange(n, -1, -1)) for n in range(30)]
    assert smooth(losses.tolist(), beta) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([1, 0.5, 2.0], False),
        ([1, 0.5, 2.01], True),
        ([1, math.nan], True),
        ([1, math.inf], True),
        ([1], False),
    ],
)
def test_a_search_ends_above_four_times_the_best_loss_or_without_a_number(losses, expected):
    assert diverged(losses) is expected


def read_off(rates, losses, method="valley"):
    """Suggest from losses that are smooth and trimmed already: 9 planned steps are too few to trim."""
    return suggest(Curve(rates, losses, losses), 9, 0.0, method)


def searched(losses, beta, num_steps=100):
    """Return the curve of a search with these raw losses."""
    return Curve(sweep(1e-7, 10, num_steps)[: len(losses)], list(losses), smooth(losses, beta))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("noise", [0.0, 0.01, 0.05])
def test_a_suggestion_lies_on_the_fall_or_a_decade_before_its_end(method, noise):
    lowest = RATES[int(np.argmin(bowl(noise)))]
    suggestion = read_off(RATES, bowl(noise), method)
    assert suggestion.reason is None and 1e-6 < suggestion.lr < lowest


def test_minimum_is_a_tenth_of_the_lowest_points_rate():
    losses = bowl()
    assert read_off(RATES, losses, "minimum").lr == pytest.approx(RATES[int(np.argmin(losses))] / 10)


def test_steepest_is_where_a_logistic_fall_has_its_middle():
    x = np.log10(RATES)
    losses = (-1 / (1 + np.exp(-2.5 * (x + 3)))).tolist()
    assert math.log10(read_off(RATES, losses, "steepest").lr) == pytest.approx(-3, abs=0.09)


def test_the_valley_of_a_straight_fall_is_its_middle():
    losses = [*[3.0] * 20, *np.linspace(2.9, 1, 60), *[5.0] * 20]
    # 61 points fall, one of the flat ones among them; fastai counts from one point before.
    assert read_off(RATES, losses, "valley").lr == RATES[79 - 61 + 20 + 10]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("losses", [[2.0] * 50, np.linspace(1, 3, 50).tolist(), [2.0, *[2.0 - 1e-3] * 49]])
def test_a_flat_or_rising_curve_suggests_nothing_and_says_so(method, losses):
    assert read_off(RATES[:50], losses, method) == Suggestion(None, "the loss never fell")


@pytest.mark.parametrize("method", METHODS)
def test_losses_from_the_first_that_is_no_number_on_are_left_out(method):
    losses = bowl()
    cut = [*losses[:80], math.nan, -100.0, 5.0]
    assert read_off(RATES[:83], cut, method) == read_off(RATES[:80], losses[:80], method)


@pytest.mark.parametrize("losses", [[], [2.0], [2.0, 1.0], [2.0, 1.0, math.nan]])
def test_too_few_losses_suggest_nothing(losses):
    suggestion = read_off(RATES[: len(losses)], losses)
    assert suggestion.lr is None and "steps had a finite loss" in suggestion.reason


def test_a_curve_shorter_than_the_window_still_slides():
    losses = bowl()[::10]
    assert read_off(RATES[::10], losses, "slide").lr in RATES[::10]


@pytest.mark.parametrize(
    ("planned", "taken", "first", "last"),
    [(100, 100, 10, 94), (30, 30, 3, 28), (100, 60, 10, 54), (9, 9, 0, 8)],
)
def test_a_tenth_of_the_start_and_a_twentieth_of_the_end_are_trimmed(planned, taken, first, last):
    steps = [float(step) for step in range(taken)]
    lrs, losses, smoothed = trimmed(Curve(steps, steps, steps), planned)
    assert (lrs[0], lrs[-1]) == (first, last)
    assert lrs == losses == smoothed


@pytest.mark.parametrize("method", METHODS)
def test_the_first_losses_of_which_hardly_any_are_averaged_decide_nothing(method):
    losses = bowl(0.02)
    spoilt = [losses[0] + 3, *losses[1:]]
    plain, odd = (searched(each, 0.0) for each in (losses, spoilt))
    assert suggest(plain, 100, 0.0, method) == suggest(odd, 100, 0.0, method)


@pytest.mark.parametrize(("num_steps", "beta"), [(30, 0.8), (100, 0.98), (300, 0.98), (100, 0.0)])
@pytest.mark.parametrize("noise", [0.02, 0.1])
def test_flat_losses_with_noise_suggest_nothing_in_95_of_100_searches(num_steps, beta, noise):
    generator = np.random.default_rng(0)
    searches = [searched(generator.normal(2, noise, num_steps), beta, num_steps) for _ in range(200)]
    found = [suggest(each, num_steps, beta).lr is not None for each in searches]
    assert np.mean(found) < 0.05


def test_a_fall_that_noise_explains_is_said():
    generator = np.random.default_rng(0)
    reasons = {
        suggest(searched(generator.normal(2, 0.3, 100), 0.8), 100, 0.8).reason or "found" for _ in range(50)
    }
    assert any("and the noise of its batches alone could do that" in each for each in reasons)


@pytest.mark.parametrize("noise", [0.05, 0.2, 0.4])
def test_a_fall_in_the_noise_of_batches_is_found(noise):
    searches = [searched(bowl(noise, seed), 0.98) for seed in range(100)]
    assert np.mean([suggest(each, 100, 0.98).lr is not None for each in searches]) >= 0.95


@pytest.mark.parametrize("beta", [0.5, 0.8, 0.98])
@pytest.mark.parametrize("step", [1, 5, 80])
def test_the_standard_error_is_that_of_many_smoothed_losses(beta, step):
    losses = np.random.default_rng(0).normal(0, 0.3, (4000, 100))
    smoothed = [smooth(row.tolist(), beta)[step - 1] for row in losses]
    assert standard_error(losses.ravel(), beta, step) == pytest.approx(np.std(smoothed), rel=0.05)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("method", "theirs"),
    [("valley", "valley"), ("slide", "slide"), ("steepest", "steep"), ("minimum", "minimum")],
)
@pytest.mark.parametrize("noise", [0.0, 0.01, 0.03])
@pytest.mark.parametrize("seed", range(5))
def test_a_suggestion_is_fastais(method, theirs, noise, seed):
    schedule = pytest.importorskip("fastai.callback.schedule")
    torch = pytest.importorskip("torch")
    losses = bowl(noise, seed)
    arguments = torch.tensor(RATES), torch.tensor(losses), len(RATES)
    expected = getattr(schedule, theirs)(*arguments)[0]
    assert read_off(RATES, losses, method).lr == pytest.approx(float(expected), rel=1e-4)
