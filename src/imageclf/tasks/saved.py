"""The task of a finished run, by what its files say."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from imageclf.tasks.multiclass import MULTICLASS
from imageclf.tasks.multilabel import Multilabel
from imageclf.tasks.regression import Regression
from imageclf.tasks.task import Task

_TASKS: dict[str, Task] = {each.name: each for each in (MULTICLASS, Multilabel(), Regression())}


def task_of(summary: Mapping[str, object]) -> Task:
    """Return the task that a summary.json names, without what it learned; it names any but the usual one.

    A task of the user's own counts as the usual one.
    """
    return _TASKS.get(str(summary.get("task")), MULTICLASS)


def task_with(summary: Mapping[str, object], settings: Mapping[str, object]) -> Task:
    """Return the same with the settings of its run by dotted key, such as `task.beta`.

    Raises:
        InputError: a value is outside its range.
    """
    task: Any = task_of(summary)
    names = [each.name for each in fields(task) if f"task.{each.name}" in settings]
    found: Task = replace(task, **{name: settings[f"task.{name}"] for name in names})
    return found
