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


@pytest.mark.fault(
    "Losses and weights",
    "A loss is NaN or infinite",
    "The run ends before the update, with epoch, batch, learning rate and the remedy",
)
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


LATE = "+callbacks.late={_target_: probes.LooksLate}"
TWO_RANKS = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu"]


def saved_values(run_dir: Path) -> list[torch.Tensor]:
    """Return all floats of all checkpoints and snapshots."""
    files = [*run_dir.glob("checkpoints/*.ckpt"), *run_dir.glob("snapshots/*.ckpt")]
    contents = [torch.load(file, weights_only=True) for file in files]
    return [value for each in contents for value in each["state_dict"].values() if value.is_floating_point()]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("ranks", [[], TWO_RANKS], ids=["one rank", "two ranks"])
@pytest.mark.parametrize("every", [2, 100])
def test_a_guard_that_looks_late_lets_nothing_be_saved_that_is_not_finite(
    train: Train, tmp_path: Path, ranks: list[str], every: int
) -> None:
    with pytest.raises(Exception, match=r"the training loss is (nan|inf)"):
        train(*EXPLODE, *ranks, LATE, f"callbacks.checkpoint.every_n_batches={every}")
    saved = saved_values(tmp_path / "run")
    assert len(saved) > 0
    assert all(bool(torch.isfinite(value).all()) for value in saved)


def test_a_guard_that_looks_late_names_the_first_batch_that_was_wrong(
    train: Train, tmp_path: Path, exploded: tuple[Path, str]
) -> None:
    with pytest.raises(FloatingPointError) as raised:
        train(*EXPLODE, RECORDER, LATE, name="late")
    assert str(raised.value) == exploded[1]
    # It went on for some batches, and ended before the epoch was validated.
    assert len(lines(tmp_path / "late", "batch")) > len(lines(exploded[0], "batch"))
    assert len(lines(tmp_path / "late", "epoch")) == len(lines(exploded[0], "epoch"))


@pytest.mark.fault(
    "Losses and weights", "Weights turn NaN while every loss was a number", "They are not saved"
)
def test_weights_that_are_not_finite_are_not_saved_though_every_loss_was(
    train: Train, tmp_path: Path
) -> None:
    spoil = "+callbacks.spoil={_target_: probes.Spoil, epoch: 0, batch: 5}"
    with pytest.raises(FloatingPointError, match=r"^the weights are not finite after epoch 0, batch 5 of "):
        train(*EXPLODE, spoil)
    assert saved_values(tmp_path / "run") == []


@pytest.mark.fault(
    "Losses and weights",
    "A learning rate is far too high",
    "The last checkpoint is the one from before the explosion",
)
def test_the_last_checkpoint_is_of_the_phase_before_the_explosion(train: Train, tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError):
        train(*EXPLODE, LATE)
    saved = torch.load(tmp_path / "run/checkpoints/last.ckpt", weights_only=True)
    assert saved["position"] == [1, 0]
