"""The task of a finished run, by what its files say."""

import pytest

from imageclf import InputError
from imageclf.tasks import MULTICLASS, Multilabel, Regression, task_of, task_with


@pytest.mark.parametrize("task", [MULTICLASS, Multilabel(), Regression()])
def test_a_summary_names_the_task_by_which_its_run_was_made(task):
    # As a summary has it: that of the usual task has no name.
    assert task_of(task.facts()) == task


def test_a_task_of_the_users_own_counts_as_the_usual_one():
    assert task_of({"task": "mine"}) == MULTICLASS


def test_the_settings_of_a_run_belong_to_its_task():
    settings = {"task.beta": 2.0, "task.threshold": 0.3, "task._target_": "x", "seed": 3}
    assert task_with({"task": "multilabel"}, settings) == Multilabel(beta=2.0, threshold=0.3)
    assert task_with({}, settings) == MULTICLASS


def test_a_setting_outside_its_range_is_refused():
    with pytest.raises(InputError, match=r"task\.beta=0: give a number above 0"):
        task_with({"task": "multilabel"}, {"task.beta": 0})
