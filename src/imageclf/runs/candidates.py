"""Predict with the candidate that did best on validation: a snapshot, an average, or an ensemble."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as pl
import torch

from imageclf import InputError
from imageclf.callbacks.candidates import mean_predictions
from imageclf.callbacks.evaluation import mean_of_views, predict
from imageclf.callbacks.preserve import preserved
from imageclf.callbacks.presets import PLAIN, WeightedViews
from imageclf.data import ImageData
from imageclf.data.datamodule import Split
from imageclf.model import ClassifierModule, Predictions


def candidate_files(run_dir: Path, name: str) -> list[Path]:
    """Return the weights of a candidate of a run.

    Args:
        run_dir: of the run.
        name: best, final, average, average_bn, soup, soup_bn, ensemble, ema, or PHASE-CYCLE.

    Raises:
        InputError: the run has no such candidate.
    """
    folder = run_dir / "snapshots"
    listed = _listed(folder)
    chosen = listed["best"] if name == "best" else name
    if chosen in listed["candidates"]:
        return [folder / file for file in listed["candidates"][chosen]["files"]]
    # Without validation nothing was compared, but the final weights are there.
    if chosen == "final" and (folder / "final.ckpt").exists():
        return [folder / "final.ckpt"]
    legal = ", ".join(["best", *listed["candidates"]])
    raise InputError(f"weights={name}: {run_dir} offers {legal}")


def predict_with_best(
    trainer: pl.Trainer, module: ClassifierModule, data: ImageData, split: Split, size: int, run_dir: Path
) -> Predictions:
    """Return plain predictions of a split by the best candidate; without snapshots, by the final weights."""
    if not (run_dir / "snapshots" / "final.ckpt").exists():
        return predict(trainer, module, data, split, size, views=(0,))
    with preserved(module, trainer.optimizers[0]):
        files = candidate_files(run_dir, "best")
        return predict_with(trainer, module, data, split, size, files)


def predict_with(
    trainer: pl.Trainer,
    module: ClassifierModule,
    data: ImageData,
    split: Split,
    size: int,
    files: Sequence[Path],
    views: WeightedViews = PLAIN,
) -> Predictions:
    """Return the mean probability over several files of weights, and over the views of each picture."""
    predictions = []
    for file in files:
        content = torch.load(file, map_location="cpu", weights_only=True)
        module.model.load_state_dict(content["state_dict"])
        each = predict(trainer, module, data, split, size, views.numbers)
        predictions.append(mean_of_views(each, views.weights))
    return mean_predictions(predictions)


def _listed(folder: Path) -> dict[str, Any]:
    path = folder / "candidates.json"
    if not path.exists():
        # Without validation nothing is compared, and the final weights are all there is.
        return {"best": "final", "candidates": {}}
    return dict(json.loads(path.read_text(encoding="utf-8")))
