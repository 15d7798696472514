"""The study of a search: real journals, asked and told as a search does."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna", minversion="4")

import optuna
from optuna.trial import TrialState

from imageclf import InputError
from imageclf.callbacks.search.trial import build_pruner, is_pruned
from imageclf.launch.search.options import SearchOptions
from imageclf.launch.search.space import read_space
from imageclf.launch.search.study import ask, importances, left_behind, open_study, overrides_of, tell
from imageclf.system.errors import Failure

SPACE = read_space({"lr": "interval(0.0, 1.0)"}, [])
OPTIONS = SearchOptions(
    n_trials=20,
    direction="maximize",
    sampler={"_target_": "optuna.samplers.TPESampler", "seed": 3, "n_startup_trials": 5},
    pruner="median",
    median={"n_startup_trials": 1},
    hyperband={},
    storage=None,
    study_name=None,
    params={},
)


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., optuna.Study]:
    """Return a function that opens the study anew, as another process does."""

    def open_again(metric: str = "val/acc", space: Any = SPACE) -> optuna.Study:
        return open_study(OPTIONS, tmp_path / "study.log", metric, space)

    return open_again


def asked(study: optuna.Study, folder: str = "/one") -> list[str]:
    return overrides_of(ask(study, OPTIONS.sampler, SPACE, Path(folder)))


def test_what_a_search_that_was_killed_asks_is_what_it_would_have_asked(opened, tmp_path: Path) -> None:
    undisturbed = open_study(OPTIONS, tmp_path / "other.log", "val/acc", SPACE)
    expected = [asked(undisturbed) for _ in range(4)]
    assert len({each for (each,) in expected}) == 4
    # A new process for each trial.
    assert [asked(opened()) for _ in range(4)] == expected


def test_two_machines_share_one_study_and_draw_nothing_twice(opened) -> None:
    one, two = opened(), opened()
    drawn = [asked(study, folder)[0] for _ in range(3) for study, folder in ((one, "/one"), (two, "/two"))]
    assert len(set(drawn)) == 6
    assert [trial.number for trial in left_behind(opened(), Path("/two"))] == [1, 3, 5]


@pytest.mark.parametrize(
    ("result", "state"),
    [
        (0.5, TrialState.COMPLETE),
        (None, TrialState.FAIL),
        (float("nan"), TrialState.FAIL),
        (Failure("failed", 2, ""), TrialState.FAIL),
        (Failure("pruned", 0, ""), TrialState.PRUNED),
        (Failure("preempted", 75, ""), TrialState.RUNNING),
    ],
)
def test_a_trial_ends_as_its_run_did(opened, result: Any, state: TrialState) -> None:
    study = opened()
    asked(study)
    tell(study, 0, result)
    assert opened().trials[0].state == state


def test_a_study_is_not_asked_for_something_else(opened) -> None:
    opened()
    with pytest.raises(InputError, match=r"optimized_metric=val/acc \(now val/acc_tta\)"):
        opened("val/acc_tta")
    with pytest.raises(InputError, match=r"momentum=not searched \(now FloatDistribution"):
        opened(space=read_space({"lr": "interval(0.0, 1.0)", "momentum": "interval(0.0, 0.9)"}, []))


def test_a_verdict_is_reached_once_and_is_the_same_ever_after(opened) -> None:
    study = opened()
    asked(study)
    assert not is_pruned(study, 0, 1, 0.9)
    tell(study, 0, 0.9)
    asked(study)
    assert is_pruned(study, 1, 1, 0.2)
    # The run was killed, goes on in another process, and asks or reports again.
    assert is_pruned(opened(), 1, 1, None)
    assert is_pruned(opened(), 1, 1, 0.95)
    assert opened().trials[1].intermediate_values == {1: 0.2}


def test_a_run_that_was_killed_between_its_report_and_the_verdict_gets_one(opened) -> None:
    study = opened()
    asked(study)
    optuna.trial.Trial(study, study.trials[0]._trial_id).report(0.9, 1)
    assert not is_pruned(opened(), 0, 1, 0.9)


def test_a_cycle_without_a_score_has_no_verdict(opened) -> None:
    study = opened()
    asked(study)
    assert not is_pruned(study, 0, 1, None)
    assert study.trials[0].user_attrs.keys() == {"folder", "overrides"}


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("middle", {}, "give median, hyperband or null"),
        ("median", {"min_resource": 1}, "hydra.sweeper.median: "),
        ("hyperband", {"reduction_factor": 1}, "hydra.sweeper.hyperband: "),
    ],
)
def test_a_pruner_that_there_is_not_is_refused(name: str, options: dict[str, int], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        build_pruner(name, options)


def told(*keys: str) -> optuna.Study:
    """Return a study whose scores depend on the first of its keys alone."""
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(40):
        trial = study.ask()
        drawn = {key: trial.suggest_float(key, 0, 1) for key in keys}
        study.tell(trial, drawn[keys[0]])
    return study


def test_a_key_that_decides_the_score_matters_most() -> None:
    found = importances(told("lr", "dropout"))
    assert found["lr"] > 0.8 and sum(found.values()) == pytest.approx(1, abs=1e-3)


def test_the_importance_of_a_single_key_says_nothing_and_is_left_out() -> None:
    assert importances(told("lr")) == {}
