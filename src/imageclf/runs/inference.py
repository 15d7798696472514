"""Predict a folder of pictures with a finished run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from imageclf import InputError
from imageclf.analysis import write_predictions
from imageclf.configs import load_config
from imageclf.runs.build import build_parts, build_trainer
from imageclf.runs.candidates import candidate_files, predict_with
from imageclf.runs.summary import predictions_of
from imageclf.runs.table import folder_table, without_broken


@dataclass(frozen=True)
class PredictOptions:
    """What imageclf-predict takes.

    Args:
        run: directory of a finished run.
        data: folder of pictures, at any depth.
        weights: best, final, average, ensemble, or a snapshot PHASE-CYCLE.
        num_augmented: views besides the picture itself; 0: no test-time augmentation.
        output: the CSV; None: `predictions/FOLDER.csv` in the run directory.
        batch_size: pictures at once.
        num_workers: processes that read pictures.
        on_error: a picture that cannot be read: raise, or skip it.
    """

    run: str
    data: str
    weights: str
    num_augmented: int
    output: str | None
    batch_size: int
    num_workers: int
    on_error: Literal["raise", "skip"]

    def __post_init__(self) -> None:
        """Refuse a number of views that there cannot be."""
        if self.num_augmented < 0:
            raise InputError(f"num_augmented={self.num_augmented}: give a whole number from 0")


def predict_folder(options: PredictOptions) -> Path:
    """Write a row per picture of a folder: id, path, label (blank), prediction, a probability per class.

    Raises:
        InputError: the run is not finished, the folder holds no pictures, or one cannot be read.
    """
    run_dir, folder = Path(options.run).expanduser(), Path(options.data).expanduser()
    if not (run_dir / "summary.json").exists():
        raise InputError(f"run={options.run}: no finished run is there (summary.json is missing)")
    output = output_of(options, run_dir, folder)
    config = load_config(run_dir / "config.yaml")
    config["data"] |= {
        "batch_size": options.batch_size,
        "num_workers": options.num_workers,
        "on_error": options.on_error,
    }
    # The weights come from the run: neither a hub nor a package is needed.
    config["model"]["weights"] = "none"
    # Wherever it was trained: here one process does, on what there is.
    config["trainer"] |= {"accelerator": "auto", "devices": 1, "num_nodes": 1, "strategy": "auto"}
    files = candidate_files(run_dir, options.weights)
    table = without_broken(folder_table(folder, classes_of(files[0])), config["data"])
    parts = build_parts(config, table)
    trainer = build_trainer(config, 1, run_dir, [])
    size = parts.data.size_of(parts.schedule.at(parts.schedule.epochs - 1).phase)
    parts.module.to(trainer.strategy.root_device)
    predictions = predict_with(trainer, parts.module, parts.data, "test", size, files, options.num_augmented)
    write_predictions(predictions_of(table, predictions), output)
    return output


def output_of(options: PredictOptions, run_dir: Path, folder: Path) -> Path:
    """Return where the CSV goes; never where the run has put predictions of its own."""
    if options.output is not None:
        return Path(options.output).expanduser()
    name = folder.resolve().name
    suffix = "-folder" if name in ("valid", "test") else ""
    return run_dir / "predictions" / f"{name}{suffix}.csv"


def classes_of(file: Path) -> tuple[str, ...]:
    """Return the class names that a file of weights carries."""
    content = torch.load(file, map_location="cpu", weights_only=True)
    return tuple(content["classes"])
