"""Predict a folder of pictures with a finished run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from imageclf import InputError
from imageclf.analysis import write_predictions
from imageclf.callbacks.presets import DRAWN, PLAIN, Preset, WeightedViews, weighted_views
from imageclf.configs import load_config
from imageclf.runs.build import build_parts, build_trainer
from imageclf.runs.candidates import candidate_files, predict_with
from imageclf.runs.directory import read_summary
from imageclf.runs.summary import predictions_of
from imageclf.runs.table import folder_table, without_broken


@dataclass(frozen=True)
class PredictOptions:
    """What imageclf-predict takes.

    Args:
        run: directory of a finished run.
        data: folder of pictures, at any depth.
        weights: best, final, average, average_bn, soup, soup_bn, ensemble, or a snapshot PHASE-CYCLE.
        tta: views of test-time augmentation; None: fastai07 if `num_augmented` is given, else none.
        num_augmented: views besides the picture itself; None: 4 where `tta` takes a number.
        beta: weight of the picture itself, 0 to 1; None: that of `tta`.
        output: the CSV; None: `predictions/FOLDER.csv` in the run directory.
        batch_size: pictures at once.
        num_workers: processes that read pictures; auto: as in training.
        on_error: a picture that cannot be read: raise, or skip it.
    """

    run: str
    data: str
    weights: str
    tta: Preset | None
    num_augmented: int | None
    beta: float | None
    output: str | None
    batch_size: int
    num_workers: int | Literal["auto"]
    on_error: Literal["raise", "skip"]

    def __post_init__(self) -> None:
        """Refuse views that there cannot be."""
        if self.tta is not None and self.tta not in DRAWN and self.num_augmented is not None:
            raise InputError(f"num_augmented={self.num_augmented}: tta={self.tta} has a number of its own")
        if self.beta is not None and self.tta is None and self.num_augmented is None:
            raise InputError(f"beta={self.beta}: give tta=fastai2 or another besides")
        self.views()

    def views(self) -> WeightedViews:
        """Return the views of each picture.

        Raises:
            InputError: a number is outside its range.
        """
        if self.tta is None and self.num_augmented is None:
            return PLAIN
        num_augmented = 4 if self.num_augmented is None else self.num_augmented
        return weighted_views(self.tta or "fastai07", num_augmented, self.beta)


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
    config["model"] |= {"weights": "none", "class_weights": "none"}
    config["metrics"] = {}
    # Wherever it was trained: here one process does, on what there is.
    config["trainer"] |= {"accelerator": "auto", "devices": 1, "num_nodes": 1, "strategy": "auto"}
    files = candidate_files(run_dir, options.weights)
    table = without_broken(folder_table(folder, classes_of(files[0])), config["data"])
    parts = build_parts(config, table)
    trainer = build_trainer(config, 1, run_dir, [])
    # Its device says how many workers there are, and whether batches are pinned.
    parts.data.trainer = trainer
    size = read_summary(run_dir)["size"]
    parts.module.to(trainer.strategy.root_device)
    predictions = predict_with(trainer, parts.module, parts.data, "test", size, files, options.views())
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
