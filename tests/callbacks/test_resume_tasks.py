"""Resuming equals no interruption for runs of several labels and of numbers, too."""

from pathlib import Path

import pytest
from measured import REGRESSION, make_measured
from mosaics import MULTILABEL, make_mosaics
from resume_cases import Case, Setting
from resume_runs import Runs, differences, go

TASKS = {
    "multilabel": (MULTILABEL, lambda root: make_mosaics(root, 21, side=16)),
    "regression": (REGRESSION, lambda root: make_measured(root, 21, side=32)),
}


@pytest.mark.long
@pytest.mark.parametrize(("ranks", "point"), [(1, "during save"), (2, "mid-epoch")])
@pytest.mark.parametrize("task", TASKS)
def test_a_run_of_another_task_goes_on_bit_for_bit(task: str, ranks: int, point: str, tmp_path: Path) -> None:
    overrides, make = TASKS[task]
    runs = Runs(tmp_path, make(tmp_path / "pictures").parent)
    setting = Setting(ranks, 1, precompute=True, sizes="progressive")
    run_dir = runs.stopped(Case(point, 0, setting), *overrides)
    go(run_dir, ranks)
    assert differences(run_dir, runs.undisturbed(setting, *overrides)) == []
