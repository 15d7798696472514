"""What exact resuming rests on, taken away piece by piece: each time the comparison has to notice."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from resume_cases import Case, Setting
from resume_runs import Runs, differences, go, step_differences, steps

from imageclf.model.weights.files import save_tensors

Content = dict[str, Any]
SETTING = Setting(1, 1, precompute=True, sizes="progressive", features=True)
# Inside the second cycle of the phase whose learning rate was found.
CASE = Case("mid-epoch", 0, SETTING)


@pytest.fixture(scope="module")
def left(runs: Runs) -> Path:
    """A run directory as it was left when its run was stopped."""
    return runs.stopped(CASE)


def with_changed_checkpoints(left: Path, run_dir: Path, change: Callable[[Content], object]) -> Path:
    """Copy a run directory, and change what its checkpoints hold."""
    shutil.copytree(left, run_dir)
    files = list((run_dir / "checkpoints").glob("*.ckpt"))
    assert len(files) == 2
    for path in files:
        content = torch.load(path, weights_only=True)
        change(content)
        save_tensors(content, path)
    return run_dir


def gone_on(runs: Runs, run_dir: Path, *more: str) -> list[str]:
    """Let a run go on, and return what differs from the run that nothing happened to."""
    reference, before = runs.undisturbed(SETTING, *more), len(steps(run_dir, 0))
    go(run_dir, 1)
    return step_differences(run_dir, reference, before, 0) + differences(run_dir, reference)


def without_moments(content: Content) -> None:
    content["optimizer_states"][0]["state"] = {}


def at_the_epochs_start(content: Content) -> None:
    content["position"] = [content["position"][0], 0]


def with_another_rate(content: Content) -> None:
    content["callbacks"]["LrFinder"]["tune"] *= 2


def without_sums(content: Content) -> None:
    content["callbacks"]["History"]["sums"] = [[0.0, 0.0]]


def without_rows(content: Content) -> None:
    content["callbacks"]["History"]["rows"] = []


def without_losses(content: Content) -> None:
    content["callbacks"]["FitVerdict"] = {}


def with_another_buffer(content: Content) -> None:
    name = next(name for name in content["state_dict"] if name.endswith("running_mean"))
    content["state_dict"][name][0] += 1


def test_saving_a_checkpoint_again_unchanged_changes_nothing(runs: Runs, left: Path, tmp_path: Path) -> None:
    assert gone_on(runs, with_changed_checkpoints(left, tmp_path / "run", lambda content: None)) == []


@pytest.mark.sampled(3)
@pytest.mark.parametrize(
    ("change", "noticed"),
    [
        (without_moments, "resumed: weights of (2, 2) on rank 0"),
        (without_moments, "checkpoint/state_dict/model.head.1.weight"),
        (at_the_epochs_start, "resumed: rows of (2, 2) on rank 0"),
        (with_another_rate, "resumed: lrs of (2, 2) on rank 0"),
        (without_sums, "metrics.csv"),
        (without_rows, "metrics.csv"),
        (without_losses, "checkpoint/callbacks/FitVerdict/1/0"),
        (with_another_buffer, "resumed: weights of (2, 2) on rank 0"),
    ],
)
def test_a_checkpoint_that_lost_something_is_noticed(
    runs: Runs, left: Path, tmp_path: Path, change: Callable[[Content], object], noticed: str
) -> None:
    assert noticed in gone_on(runs, with_changed_checkpoints(left, tmp_path / "run", change))


@pytest.mark.long
def test_without_seeding_by_position_dropout_differs(runs: Runs) -> None:
    unseeded = "~callbacks.reproducible"
    wrong = gone_on(runs, runs.stopped(CASE, unseeded), unseeded)
    assert "resumed: generators of (2, 2) on rank 0" in wrong
    assert "resumed: weights of (2, 2) on rank 0" in wrong
    assert "metrics.csv" in wrong


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("key", "other", "noticed"),
    [
        ("n_cycles: 2", "cycle_len: 2", "resumed: lrs of (2, 2) on rank 0"),
        ("seed: 42", "seed: 43", "resumed: seen of (2, 2) on rank 0"),
        ("mixup: 0.4", "mixup: 0.0", "resumed: seen of (2, 2) on rank 0"),
    ],
    ids=["the schedule", "the seed", "the mixing"],
)
def test_going_on_with_another_config_is_noticed(
    runs: Runs, left: Path, tmp_path: Path, key: str, other: str, noticed: str
) -> None:
    run_dir = Path(shutil.copytree(left, tmp_path / "run"))
    config = run_dir / "config.yaml"
    text = config.read_text()
    assert f" {key}\n" in text or f"\n{key}\n" in text
    config.write_text(text.replace(key, other))
    assert noticed in gone_on(runs, run_dir)
