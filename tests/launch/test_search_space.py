"""What a search chooses from, and the keys that say how."""

import pytest

pytest.importorskip("optuna", minversion="4")

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from imageclf import InputError
from imageclf.callbacks.search.trial import cycles_done
from imageclf.launch.search.options import read_options
from imageclf.launch.search.space import read_space
from imageclf.schedule import Phase, Schedule

KEYS = {
    "n_trials": 20,
    "direction": "maximize",
    "sampler": {},
    "pruner": None,
    "median": {},
    "hyperband": {},
    "storage": None,
    "study_name": None,
    "params": {},
}


@pytest.mark.parametrize(
    ("sweep", "expected"),
    [
        ("interval(0.0, 0.6)", FloatDistribution(0.0, 0.6)),
        ("tag(log, interval(1e-4, 1e-1))", FloatDistribution(1e-4, 1e-1, log=True)),
        ("int(interval(1, 8))", IntDistribution(1, 8)),
        ("tag(log, int(interval(1, 8)))", IntDistribution(1, 8, log=True)),
        ("range(1, 9)", IntDistribution(1, 8)),
        ("range(1, 9, 3)", IntDistribution(1, 7, step=3)),
        ("range(0.0, 1.0, 0.25)", FloatDistribution(0.0, 1.0, step=0.25)),
        ("choice(0, 0.2)", CategoricalDistribution(["0", "0.2"])),
        ("sgd,adam", CategoricalDistribution(["sgd", "adam"])),
        ("true,null", CategoricalDistribution(["True", "null"])),
        ("choice('a b', [1,2])", CategoricalDistribution(["a\\ b", "[1,2]"])),
    ],
)
def test_a_sweep_in_hydras_grammar_is_a_distribution(sweep: str, expected: BaseDistribution) -> None:
    assert read_space({"key": sweep}, []).varied == {"key": expected}


def test_what_is_typed_replaces_what_the_config_searches() -> None:
    space = read_space({"a": "range(1,3)", "b": "range(1,3)"}, ["a=7", "b=choice(x,y)", "~c", "+d=1"])
    assert space.varied == {"b": CategoricalDistribution(["x", "y"])}
    assert space.fixed == ("a=7", "~c", "+d=1")


def test_the_corners_try_every_choice_and_both_ends_of_an_interval() -> None:
    corners = read_space({"a": "choice(x,y,z)", "b": "int(interval(1,8))"}, []).corners()
    assert corners == [["a=x", "b=1"], ["a=y", "b=8"], ["a=z", "b=8"]]


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({}, "hydra.sweeper.params is empty"),
        ({"a": "interval(8, 1)"}, "a=interval"),
        ({"a": "interval(1,"}, "a=interval"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused(params: dict[str, str], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        read_space(params, [])


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"n_jobs": 4}, "n_jobs: trials start as slots become free; give hydra.launcher.n_jobs=N"),
        ({"max_failure_rate": 1.0}, "max_failure_rate: a trial that fails counts as one"),
        ({"search_space": {}}, r"search_space: give hydra\.sweeper\.params"),
        ({"storage": "sqlite:///a.db"}, "give the path of a file, such as study.log"),
        ({"n_trails": 3}, r"did you mean hydra\.sweeper\.n_trials"),
        ({"n_trials": 0}, "give a whole number from 1"),
        ({"direction": "up"}, "give minimize or maximize"),
    ],
)
def test_a_key_that_is_gone_or_wrong_is_refused_with_its_remedy(
    changed: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        read_options(KEYS | changed)


def test_cycles_are_counted_over_all_phases() -> None:
    schedule = Schedule({"head": Phase(n_cycles=2, lr=1e-2), "all": Phase(2, 1, 2, lr=1e-3)})
    assert [cycles_done(schedule, epoch) for epoch in range(5)] == [1, 2, 3, None, 4]
