"""Predict with the candidate that did best on validation: a snapshot, an average, or an ensemble."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as pl

from imageclf import InputError
from imageclf.configs import read_object
from imageclf.data import ImageData
from imageclf.data.datamodule import Split
from imageclf.evaluation.candidates import mean_predictions
from imageclf.evaluation.predicting import mean_of_views, predict
from imageclf.evaluation.preserve import preserved
from imageclf.evaluation.presets import PLAIN, WeightedViews
from imageclf.model import ClassifierModule, Predictions
from imageclf.model.weights.files import load_into
from imageclf.system.files import inside


def candidate_files(run_dir: Path, name: str) -> list[Path]:
    """Return the weights of a candidate of a run.

    Args:
        run_dir: of the run.
        name: best, final, average, average_bn, soup, soup_bn, ensemble, ema, or PHASE-CYCLE.

    Raises:
        InputError: the run has no such candidate, or names files that are not its own.
    """
    folder = run_dir / "snapshots"
    best, candidates = _listed(folder)
    chosen = best if name == "best" else name
    if chosen in candidates:
        return [inside(folder, file) for file in candidates[chosen]]
    # Without validation nothing was compared, but the final weights are there.
    if chosen == "final" and (folder / "final.ckpt").exists():
        return [inside(folder, "final.ckpt")]
    legal = ", ".join(["best", *candidates])
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
        load_into(module.model, file)
        each = predict(trainer, module, data, split, size, views.numbers)
        predictions.append(mean_of_views(each, views.weights))
    return mean_predictions(predictions)


def _listed(folder: Path) -> tuple[str, dict[str, list[Any]]]:
    """Return the name of the best candidate, and the files of each."""
    path = folder / "candidates.json"
    # A link that leads nowhere is there, too.
    if not path.exists() and not path.is_symlink():
        # Without validation nothing is compared, and the final weights are all there is.
        return "final", {}
    content = read_object(inside(folder, path.name))
    best, candidates = content.get("best"), content.get("candidates")
    if not isinstance(best, str) or not isinstance(candidates, dict):
        raise InputError(f"{path} is damaged: it does not say which candidate is the best")
    return best, {name: _files_of(node, name, path) for name, node in candidates.items()}


def _files_of(node: Any, name: str, path: Path) -> list[Any]:
    files = node.get("files") if isinstance(node, dict) else None
    if not isinstance(files, list) or not files:
        raise InputError(f"{path} is damaged: candidate {name[:100]} has no list of files")
    return files
