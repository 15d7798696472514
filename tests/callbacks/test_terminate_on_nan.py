"""A run whose loss is no number any more."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from probes import lines
from small_runs import RECORDER, phases

Train = Callable[..., Path]
EXPLODE = phases(
    calm={"lr": 1e-3, "unfreeze_to": 0},
    explode={"cycle_len": 4, "lr": 1e30, "unfreeze_to": 0, "shape": "constant"},
)
EVERY_BATCH = "callbacks.checkpoint.every_n_batches=1"


@pytest.fixture
def exploded(train: Train, tmp_path: Path) -> tuple[Path, str]:
    """A run that ended so, and what it said."""
    with pytest.raises(FloatingPointError) as raised:
        train(*EXPLODE, RECORDER, EVERY_BATCH)
    return tmp_path / "run", str(raised.value)


def test_it_ends_with_the_position_the_rate_and_the_remedy(exploded: tuple[Path, str]) -> None:
    _, message = exploded
    assert message.startswith("the training loss is ")
    assert "of phase explode (learning rates body0 1e+30, body1 1e+30, head 1e+30; pictures " in message
    assert "lower schedule.phases.explode.lr" in message


def test_it_names_the_batch_after_the_last_one_that_was_trained(exploded: tuple[Path, str]) -> None:
    run_dir, message = exploded
    last = lines(run_dir, "batch")[-1]
    # The batch after it in the same epoch: the rate needs a few steps.
    assert f"at epoch {last['epoch']}, batch {last['batch'] + 1} of phase" in message


def test_every_loss_that_was_trained_on_is_a_number(exploded: tuple[Path, str]) -> None:
    losses = torch.tensor([row["loss"] for row in lines(exploded[0], "batch")])
    assert len(losses) > 1 and bool(torch.isfinite(losses).all())


def test_without_it_the_run_goes_on(train: Train) -> None:
    run_dir = train(*EXPLODE, "~callbacks.terminate_on_nan")
    assert (run_dir / "summary.json").exists()
