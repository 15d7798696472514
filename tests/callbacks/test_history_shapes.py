"""Runs whose learning rate follows the validation loss, or whose cycles differ in size."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from probes import lines
from small_runs import RECORDER, phases, train_small

from imageclf import InputError
from imageclf.schedule.shapes import plateau

Train = Callable[..., Path]
# A rate at which the loss does not fall in every epoch.
STEPWISE = phases(
    steps={
        "n_cycles": 2,
        "cycle_len": 5,
        "lr": 0.05,
        "unfreeze_to": 0,
        "shape": "plateau",
        "patience": 0,
        "plateau_factor": 0.5,
    }
)
GROWING = phases(
    grow={"n_cycles": 3, "lr": 1e-3, "unfreeze_to": 0, "size": "[32,48,64]", "batch_size": "[7,5,3]"}
)


@pytest.fixture(scope="module")
def stepwise(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    return train_small(tmp_path_factory.mktemp("stepwise"), pictures, *STEPWISE, RECORDER)


def rates(run_dir: Path) -> list[float]:
    return [row["lrs"]["head"] for row in lines(run_dir, "batch") if row["batch"] == 0]


def test_the_rate_of_each_epoch_follows_from_the_losses_of_its_cycle(stepwise: Path) -> None:
    losses = pd.read_csv(stepwise / "metrics.csv")["val/loss"].tolist()
    starts = [epoch - epoch % 5 for epoch in range(10)]
    expected = [0.05 * plateau(losses[start:epoch], 0, 0.5) for epoch, start in enumerate(starts)]
    assert rates(stepwise) == pytest.approx(expected)
    assert len(set(expected)) > 1


def test_the_rates_are_written_down(stepwise: Path) -> None:
    assert pd.read_csv(stepwise / "metrics.csv")["lr/head"].tolist() == pytest.approx(rates(stepwise))


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("epoch", "batch"), [(3, 1), (4, 3), (7, 0)])
def test_a_stop_forgets_no_loss(
    stepwise: Path, pictures: Path, tmp_path: Path, epoch: int, batch: int
) -> None:
    stop = f"+callbacks.stop={{_target_: probes.StopAt, epoch: {epoch}, batch: {batch}}}"
    typed = [*STEPWISE, RECORDER, stop, "callbacks.checkpoint.every_n_batches=1"]
    with pytest.raises(RuntimeError, match="stopped on purpose"):
        train_small(tmp_path, pictures, *typed)
    train_small(tmp_path, pictures, *typed, "ckpt_path=auto")
    assert rates(tmp_path) == rates(stepwise)


def test_without_held_out_pictures_it_is_refused(train: Train) -> None:
    with pytest.raises(InputError, match=r"^schedule\.phases\.steps\.shape=plateau"):
        train(*STEPWISE, "data.valid_pct=0")


def test_cycles_have_their_own_sizes_and_batches(train: Train) -> None:
    run_dir = train(*GROWING, RECORDER)
    batches = lines(run_dir, "batch")
    assert [{row["size"] for row in batches if row["epoch"] == epoch} for epoch in range(3)] == [
        {32},
        {48},
        {64},
    ]
    largest = [max(len(row["rows"]) for row in batches if row["epoch"] == epoch) for epoch in range(3)]
    assert largest == [7, 5, 3]
    assert pd.read_csv(run_dir / "metrics.csv")["size"].tolist() == [32, 48, 64]
    assert pd.read_csv(run_dir / "plan.csv").groupby("epoch")["size"].first().tolist() == [32, 48, 64]
