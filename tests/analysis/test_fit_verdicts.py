import pytest

from imageclf.analysis.fit import ADVICE, Fit, verdicts


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([(1.0, 1.0)], "under-fitted"),
        ([(1.2, 1.0)], "under-fitted"),
        ([(0.91, 1.0)], "under-fitted"),
        ([(0.89, 1.0)], "well fitted"),
        ([(0.5, 0.8), (0.3, 0.7)], "well fitted"),
        ([(0.5, 0.8), (0.3, 0.81)], "well fitted"),
        ([(0.5, 0.8), (0.3, 0.82)], "over-fitted"),
        ([(0.5, 0.8), (0.4, 0.7), (0.3, 0.75)], "over-fitted"),
        # Both losses rose: a rate that was too high, or a bigger picture, is no over-fitting.
        ([(0.5, 0.8), (0.6, 0.9)], "well fitted"),
        # Worse than the cycle before, but not than the best one.
        ([(0.5, 0.6), (0.6, 0.9), (0.3, 0.605)], "well fitted"),
    ],
)
def test_the_last_cycle_is_judged_by_the_best_one_before(losses, expected):
    assert verdicts([Fit(*each) for each in losses])[-1] == expected


def test_a_change_within_the_tolerance_is_none():
    fits = [Fit(0.5, 1.0), Fit(0.3, 1.09)]
    assert verdicts(fits, tolerance=0.1)[-1] == "well fitted"
    assert verdicts(fits, tolerance=0.05)[-1] == "over-fitted"


def test_every_cycle_is_judged_without_those_that_come_later():
    fits = [Fit(1.0, 1.0), Fit(0.5, 0.7), Fit(0.2, 0.9), Fit(0.1, 0.6)]
    assert verdicts(fits) == [verdicts(fits[: end + 1])[-1] for end in range(len(fits))]


def test_every_verdict_has_its_advice():
    fits = [Fit(1.0, 1.0), Fit(0.5, 0.7), Fit(0.2, 0.9)]
    assert set(verdicts(fits)) == set(ADVICE)
