"""Momentum that cycles against the learning rate, in a real fit."""

from collections.abc import Callable
from pathlib import Path

import pytest
from probes import lines
from small_runs import RECORDER, phases

from imageclf.schedule import Phase


def test_each_batch_has_its_momentum_and_the_phase_after_it_the_optimizers_own(
    train: Callable[..., Path],
) -> None:
    one = {"cycle_len": 2, "lr": 1e-3, "shape": "onecycle", "moms": [0.95, 0.85, 0.95]}
    run_dir = train(*phases(one=one, two={"lr": 1e-3}), RECORDER)
    rows = lines(run_dir, "batch")
    num_batches = 1 + max(row["batch"] for row in rows)
    assert {row["epoch"] for row in rows} == {0, 1, 2} and num_batches > 2
    expected = [
        Phase(**one).momentum(row["epoch"], row["batch"], num_batches) if row["epoch"] < 2 else 0.9
        for row in rows
    ]
    assert [momentum for row in rows for momentum in row["momenta"]] == pytest.approx(expected)
