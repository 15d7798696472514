"""The steps of a whole run as its progress shows them, by a clock on which every batch takes long."""

import logging
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from small_runs import THREE_PHASES, train_small

from imageclf.system import progress
from imageclf.system.progress import EVERY, Display


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Let this process say a line for every batch, and return the lines."""
    lines: list[str] = []
    seconds = count(0.0, EVERY + 1)
    monkeypatch.setattr(progress, "_display", Display(None, lambda: next(seconds), lines.append))
    yield lines


def test_every_long_step_of_a_run_is_shown_by_name_phase_cycle_and_size(
    pictures: Path, tmp_path: Path, said: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        cache = f"data.cache_dir={tmp_path}/cache"
        train_small(tmp_path, pictures, *THREE_PHASES, cache, "schedule.phases.tune.lr=auto")
    names = list(dict.fromkeys(line.partition(":")[0] for line in said))
    shown = [
        "Checking pictures",
        "features of train pictures at 32 px",
        "epoch 0, start, 32 px",
        "search for the learning rate of phase tune",
        "epoch 2, tune, cycle 1 of 2, 32 px",
        "epoch 3, tune, cycle 2 of 2, 32 px",
        "epoch 5, large, 48 px",
        "validation",
        "test-time augmentation",
        "comparing weights",
    ]
    assert [name for name in shown if name not in names] == []
    assert sum("the rest of the run takes about" in line for line in caplog.messages) == 1


def test_the_time_left_of_the_run_falls_and_is_forgotten_at_its_end(
    pictures: Path, tmp_path: Path, said: list[str]
) -> None:
    train_small(tmp_path, pictures, *THREE_PHASES)
    large = [line for line in said if line.startswith("epoch 5, large")]
    # Four batches of 7, without the last picture.
    assert re.fullmatch(r"epoch 5, large, 48 px: 7 of \d+ pictures, .*; the run: about .* left", large[0])
    assert len(large) == 4
    assert progress.display().run_ends is None


def test_a_run_that_fails_leaves_no_step_open(pictures: Path, tmp_path: Path, said: list[str]) -> None:
    stop = "+callbacks.stop={_target_: probes.StopAt, epoch: 1, batch: 2}"
    with pytest.raises(RuntimeError, match="stopped on purpose"):
        train_small(tmp_path, pictures, *THREE_PHASES, stop)
    display = progress.display()
    assert display._steps == []
    said.clear()
    train_small(tmp_path, pictures, *THREE_PHASES, stop, "ckpt_path=auto")
    assert any(line.startswith("epoch 1, start") for line in said)
