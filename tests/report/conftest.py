"""A run directory as the training writes it, made of the demo pictures."""

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imageclf.analysis.predictions_csv import predictions_table, write_predictions

STAMPS = Path(__file__).parents[2] / "data" / "stamps"
PHASES = {"head": (2, 0.0, 5e-3), "finetune": (3, 1e-4, 5e-3), "bigger": (3, 5e-5, 2e-3)}
STEPS = 5
CLASSES = ["birds", "food", "mammals", "objects", "plants", "vehicles"]


def plan_table() -> pd.DataFrame:
    """Return the plan of PHASES: cosine cycles of `STEPS` steps per epoch, the body frozen in `head`."""
    rows, epoch = [], 0
    for phase, (epochs, body, head) in PHASES.items():
        for place in range(epochs * STEPS):
            shape = (1 + math.cos(math.pi * place / (epochs * STEPS))) / 2
            rates = {"lr/body0": body / 3 * shape, "lr/body1": body * shape, "lr/head": head * shape}
            now = epoch + place // STEPS
            row = {
                "step": len(rows),
                "epoch": now,
                "batch": place % STEPS,
                "phase": phase,
                "cycle": 0,
                "size": 64,
            }
            rows.append(row | rates)
        epoch += epochs
    return pd.DataFrame(rows)


def metrics_table() -> pd.DataFrame:
    """Return a row per epoch of the plan with losses that fall and an accuracy that rises."""
    rows = plan_table().groupby("epoch").first().reset_index().drop(columns=["step", "batch", "cycle"])
    epochs = rows["epoch"]
    rows["size"] = rows["phase"].map({"head": 64, "finetune": 64, "bigger": 96})
    rows["train/loss"] = 1.7 * np.exp(-0.35 * epochs) + 0.1
    rows["val/loss"] = 1.5 * np.exp(-0.3 * epochs) + 0.3
    rows["val/acc"] = 0.94 - 0.5 * np.exp(-0.6 * epochs)
    rows["val/acc_tta"] = (rows["val/acc"] + 0.01).where(epochs.isin([1, 4, 7]))
    rows["seconds"] = 4.2
    return rows


def stamp_predictions(classes: list[str], num_pictures: int = 48) -> pd.DataFrame:
    """Return predictions for demo pictures, the true classes going round; about one in ten is wrong."""
    paths = sorted(STAMPS.glob("*/*.jpg"))
    assert paths, f"no demo pictures in {STAMPS}"
    rng = np.random.default_rng(3)
    truth = np.arange(num_pictures) % len(classes)
    logits = rng.normal(0, 1.4, (num_pictures, len(classes)))
    logits[np.arange(num_pictures), truth] += 4
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    chosen = [str(paths[7 * index % len(paths)]) for index in range(num_pictures)]
    ids = [f"{index:05d}" for index in range(num_pictures)]
    return predictions_table(ids, chosen, [classes[index] for index in truth], probabilities, classes)


def write_search(run_dir: Path, phase: str, suggestion: float | None, reason: str | None) -> None:
    """Write a learning-rate search whose loss falls, then explodes; the last loss is not finite."""
    rates = np.geomspace(1e-6, 1, 30)
    smoothed = 1.8 - 0.9 / (1 + (2e-3 / rates) ** 1.2) + (rates / 0.2) ** 3
    loss = smoothed + np.random.default_rng(0).normal(0, 0.08, 30)
    loss[-1] = np.inf
    folder = run_dir / "lr_find"
    folder.mkdir(exist_ok=True)
    pd.DataFrame({"lr": rates, "loss": loss, "smoothed": smoothed}).to_csv(
        folder / f"{phase}.csv", index=False
    )
    found = {"suggestion": suggestion, "method": "valley", "reason": reason}
    (folder / f"{phase}.json").write_text(json.dumps(found))


def write_summary(run_dir: Path, classes: list[str]) -> None:
    """Write the summary that a finished run leaves."""
    summary: dict[str, object] = {
        "val/acc": 0.9373, "val/loss": 0.2105, "val/acc_tta": 0.949, "val/loss_tta": 0.1953,
        "val/acc_ensemble": 0.949, "val/acc_average": 0.9412, "val/acc_best": 0.949, "best": "ensemble",
        "epochs": 8, "seconds": 187.4, "num_train": 1020, "num_valid": 255, "experiment": "stamps",
        "classes": classes,
    }  # fmt: skip
    (run_dir / "summary.json").write_text(json.dumps(summary))


def build_run(folder: Path, classes: list[str], num_pictures: int = 48) -> Path:
    """Write a whole finished run of these classes below `folder` and return its directory."""
    run_dir = folder / "runs" / "stamps" / "20250301-101500-1a2b"
    run_dir.mkdir(parents=True)
    plan_table().to_csv(run_dir / "plan.csv", index=False)
    metrics_table().to_csv(run_dir / "metrics.csv", index=False)
    write_summary(run_dir, classes)
    write_search(run_dir, "head", 2.1e-3, None)
    write_search(run_dir, "finetune", None, "the loss never fell by more than its noise")
    write_predictions(stamp_predictions(classes, num_pictures), run_dir / "predictions" / "valid.csv")
    (run_dir / "config.yaml").write_text("seed: 42\ndata:\n  root: data/stamps  # <b>&\n")
    return run_dir


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Return `build_run` for a folder of the test's own."""
    return partial(build_run, tmp_path)


@pytest.fixture
def run_dir(make_run: Callable[..., Path]) -> Path:
    return make_run(CLASSES)


@pytest.fixture(scope="session")
def untouched_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that no test changes, made once."""
    return build_run(tmp_path_factory.mktemp("untouched"), CLASSES)


@pytest.fixture
def run_tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    return plan_table(), metrics_table()
