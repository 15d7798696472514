"""What a run says about over-fitting, and where it stops."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from probes import digest
from small_runs import phases, train_small

from imageclf import InputError
from imageclf.analysis.fit import Fit, verdicts
from imageclf.callbacks import FitVerdict
from imageclf.callbacks.fit_verdict import spread
from imageclf.schedule import Phase, Schedule

Train = Callable[..., Path]

# Eight cycles by which the training pictures are known by heart, and the validation pictures ever more wrong.
MEMORISE = [
    *phases(
        fit={
            "n_cycles": 8,
            "cycle_len": 5,
            "lr": 1e-2,
            "unfreeze_to": "head",
            "augment": False,
            "shape": "constant",
        }
    ),
    "data.train=train",
    "data.valid=valid",
]


@pytest.fixture(scope="module")
def misleading(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dark and bright pictures, whose classes are the other way round in validation."""
    from PIL import Image

    root = tmp_path_factory.mktemp("misleading")
    generator = np.random.default_rng(0)
    for split, classes in {"train": ("dark", "bright"), "valid": ("bright", "dark")}.items():
        for name, lowest in zip(classes, (0, 128), strict=True):
            (root / split / name).mkdir(parents=True)
            for number in range(12):
                noise = generator.integers(lowest, lowest + 128, (24, 24, 3), dtype=np.uint8)
                Image.fromarray(noise).save(root / split / name / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory, misleading: Path) -> Path:
    """A run that is misled, and stops where it over-fits."""
    stop = "callbacks.fit_verdict.stop=true"
    return train_small(tmp_path_factory.mktemp("stopped"), misleading, *MEMORISE, stop)


def metrics(run_dir: Path) -> pd.DataFrame:
    return pd.read_csv(run_dir / "metrics.csv")


def test_training_pictures_are_measured_at_cycle_ends_alone(train: Train) -> None:
    run = train(*phases(fit={"n_cycles": 2, "cycle_len": 2, "lr": 1e-2, "unfreeze_to": "head"}))
    assert metrics(run)["train/loss_plain"].notna().tolist() == [False, True, False, True]


def test_the_training_loss_is_measured_as_in_validation(train: Train, pictures: Path) -> None:
    # All pictures in both splits' stead: a fold's own training pictures are looked at plain.
    run = train(*phases(fit={"lr": 1e-9, "unfreeze_to": "head"}), "model.head.dropout=0.9")
    row = metrics(run).iloc[-1]
    # Weights that hardly move see both splits alike, with neither dropout nor augmentation.
    assert row["train/loss_plain"] == pytest.approx(row["val/loss"], abs=0.1)


def test_the_standard_error_is_that_of_the_validation_losses(train: Train) -> None:
    run = train(*phases(fit={"lr": 1e-2, "unfreeze_to": "head"}))
    predicted = pd.read_csv(run / "predictions/valid.csv")
    losses = [-np.log(row[row["label"]]) for _, row in predicted.iterrows()]
    assert metrics(run)["val/loss_error"].iloc[-1] == pytest.approx(np.std(losses, ddof=1) / np.sqrt(7))


def test_a_run_that_over_fits_stops_before_its_end(stopped: Path) -> None:
    assert len(metrics(stopped)) < 40


def test_a_run_that_stops_early_is_finished_and_has_a_best_candidate(stopped: Path) -> None:
    summary = json.loads((stopped / "summary.json").read_text())
    assert summary["val/acc_best"] >= summary["val/acc"]


@pytest.mark.long
def test_without_being_asked_a_run_goes_on_to_its_end(tmp_path: Path, misleading: Path) -> None:
    assert len(metrics(train_small(tmp_path, misleading, *MEMORISE))) == 40


def test_it_stops_at_the_first_cycle_that_is_past_the_best(stopped: Path) -> None:
    ends = metrics(stopped).dropna(subset="train/loss_plain")
    columns = ["train/loss_plain", "val/loss", "val/loss_error", "val/acc"]
    judged = verdicts([Fit(*measured) for measured in ends[columns].to_numpy()], classes=2)
    assert [each.is_past_best for each in judged].index(True) == len(judged) - 1


def test_a_run_that_stops_before_a_phase_of_another_size_is_scored_at_the_size_it_trained_at(
    tmp_path: Path, misleading: Path
) -> None:
    larger = "+schedule.phases.larger={lr: 1e-3, size: 48}"
    run_dir = train_small(tmp_path, misleading, *MEMORISE, larger, "callbacks.fit_verdict.stop=true")
    summary, rows = json.loads((run_dir / "summary.json").read_text()), metrics(run_dir)
    assert (summary["size"], summary["epochs"]) == (32, len(rows))
    assert summary["val/loss"] == pytest.approx(rows["val/loss"].iloc[-1])


def test_a_stopped_run_that_is_started_again_stays_stopped(stopped: Path, misleading: Path) -> None:
    before = digest(torch.load(stopped / "snapshots/final.ckpt", weights_only=True)["state_dict"])
    (stopped / "summary.json").unlink()
    train_small(stopped, misleading, *MEMORISE, "callbacks.fit_verdict.stop=true", "ckpt_path=auto")
    after = digest(torch.load(stopped / "snapshots/final.ckpt", weights_only=True)["state_dict"])
    assert after == before


@pytest.mark.parametrize(("count", "expected"), [(1, [10]), (2, [10, 19]), (4, [10, 13, 16, 19]), (20, 10)])
def test_rows_are_spread_over_the_table(count: int, expected: list[int] | int) -> None:
    chosen = spread(np.arange(10, 20), count)
    assert len(chosen) == expected if isinstance(expected, int) else chosen.tolist() == expected


def test_a_negative_tolerance_is_refused() -> None:
    with pytest.raises(InputError, match="tolerance=-1: give a fraction from 0"):
        FitVerdict(Schedule({"fit": Phase(lr=1.0)}), tolerance=-1, stop=False)
