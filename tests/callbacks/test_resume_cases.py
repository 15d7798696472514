"""Resuming equals no interruption, bit for bit: over 200 cases, each a real run that is really stopped."""

from dataclasses import asdict
from itertools import combinations

import pytest
from resume_cases import ALL_POINTS, CASES, QUICK, Case, cases
from resume_runs import Runs, differences, go, position, step_differences, steps


def marked(case: Case) -> object:
    """Return a case as a parameter; what `make test` has no time for is long."""
    return pytest.param(case, id=str(case), marks=[] if case in QUICK else [pytest.mark.long])


@pytest.mark.parametrize("case", [marked(case) for case in CASES])
@pytest.mark.fault(
    "Going on",
    "A run is stopped anywhere: 200 cases of place, workers, ranks, accumulation, sizes, features",
    "It ends with the weights, order, draws and files of an undisturbed run, bit for bit",
)
def test_a_run_that_is_stopped_and_goes_on_equals_one_that_is_not(runs: Runs, case: Case) -> None:
    reference = runs.undisturbed(case.setting)
    run_dir = runs.stopped(case)
    ranks = range(case.setting.ranks)
    before = [len(steps(run_dir, rank)) for rank in ranks]
    go(run_dir, case.setting.ranks)
    wrong = [text for rank in ranks for text in step_differences(run_dir, reference, before[rank], rank)]
    assert wrong + differences(run_dir, reference) == []
    # Not earlier than it has to: from the last safe point before the stop.
    resumed = {position(steps(run_dir, rank)[before[rank]]) for rank in ranks}
    assert resumed == {case.stop.resumes[case.setting.accumulation]}


def test_there_are_two_hundred_distinct_cases_with_every_value_of_everything() -> None:
    assert len(set(CASES)) == len(CASES) >= 200
    assert len(QUICK) == len(ALL_POINTS) + 3
    assert set(CASES) >= QUICK
    for chosen in (CASES, QUICK):
        assert {case.point for case in chosen} == set(ALL_POINTS)
        for name in ("ranks", "accumulation", "precompute", "sizes", "features"):
            assert len({getattr(case.setting, name) for case in chosen}) == 2, name
        assert {case.workers for case in chosen} == {0, 2}
        assert {case.kill for case in chosen} == {False, True}


@pytest.mark.parametrize("ranks", [1, 2])
def test_every_point_comes_with_every_value_on_one_and_on_two_ranks(ranks: int) -> None:
    seen = {
        (case.point, name, value)
        for case in CASES
        for name, value in {**asdict(case.setting), "workers": case.workers}.items()
        if case.setting.ranks == ranks
    }
    possible_ones = {
        (case.point, name, value)
        for case in cases(ranks)
        for name, value in {**asdict(case.setting), "workers": case.workers}.items()
    }
    assert possible_ones <= seen


def test_every_pair_of_values_comes_up_on_two_ranks() -> None:
    def pairs(found: list[Case]) -> set[object]:
        values = [{**asdict(case.setting), "workers": case.workers}.items() for case in found]
        return {pair for each in values for pair in combinations(each, 2)}

    assert pairs([case for case in CASES if case.setting.ranks == 2]) == pairs(cases(2))
