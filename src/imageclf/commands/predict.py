"""Predict a folder of pictures with a finished run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig

from imageclf import InputError
from imageclf.analysis import write_predictions
from imageclf.callbacks.always.summary import predictions_of
from imageclf.configs import check_node
from imageclf.data import Caching, ImageData, Loading
from imageclf.evaluation.predicting import predict_with
from imageclf.evaluation.tta_presets import DRAWN, PLAIN, Preset, WeightedViews, weighted_views
from imageclf.schedule import Phase, Schedule
from imageclf.system.printable import show
from imageclf.training.check_keys import checked
from imageclf.training.logs import log_to_file
from imageclf.training.parts.table import folder_table, without_broken
from imageclf.training.run_config import build_augmentation
from imageclf.training.trained import TrainedRun, build_predicting_trainer, build_trained, read_trained

# The folder that the run kept its caches in is not for this command to write into.
_NO_CACHE = Caching(cache="none", cache_dir=None, cache_gb=1, fingerprint="stat")


@dataclass(frozen=True)
class PredictOptions:
    """What imageclf-predict takes.

    Args:
        run: directory of a finished run.
        data: folder of pictures, at any depth.
        weights: best, which is the model that the run reports; final, average, average_bn, soup, soup_bn,
            ensemble, ema, or a snapshot PHASE-CYCLE.
        tta: views of test-time augmentation; None: fastai07 if `num_augmented` is given, else none.
        num_augmented: views in addition to the picture itself; None: 4 where `tta` takes a number.
        beta: weight of the picture itself, 0 to 1; None: that of `tta`.
        output: the CSV; None: `predictions/FOLDER.csv` in the run directory.
        batch_size: pictures at once.
        num_workers: processes that read pictures; auto: as in training.
        on_error: a picture that cannot be read: raise, or skip it.
        trust: further modules whose classes the run's config.yaml may name, or all.
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
    trust: str | Sequence[str] = ()

    def __post_init__(self) -> None:
        """Refuse views that there cannot be."""
        if self.tta is not None and self.tta not in DRAWN and self.num_augmented is not None:
            raise InputError(f"num_augmented={self.num_augmented}: tta={self.tta} has fixed views")
        if self.beta is not None and self.tta is None and self.num_augmented is None:
            raise InputError(f"beta={self.beta}: give tta=fastai2 or another one, too")
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


def run(cfg: DictConfig, folder: Path) -> None:
    """Predict, write the CSV, and print where it is."""
    options = checked(cfg, PredictOptions)
    log_to_file(Path(options.run))
    show(predict_folder(options))


def predict_folder(options: PredictOptions) -> Path:
    """Write a row per picture of a folder: id, path, label (blank), prediction, a probability per class.

    Raises:
        InputError: the run is not finished, the folder holds no pictures, or one cannot be read.
    """
    run_dir, folder = Path(options.run).expanduser(), Path(options.data).expanduser()
    if not (run_dir / "summary.json").exists():
        raise InputError(f"run={options.run}: no finished run is there (summary.json is missing)")
    output = output_of(options, run_dir, folder)
    run = read_trained(run_dir, options.weights, options.trust)
    augmentation = build_augmentation(_transforms(run, options, run_dir))
    loading = _loading(run, options)
    table = without_broken(folder_table(folder, run.classes), loading, _NO_CACHE)
    module, expects = build_trained(run)
    trainer = build_predicting_trainer(run_dir)
    module.to(trainer.strategy.root_device)
    data = ImageData(
        table=table,
        loading=loading,
        schedule=Schedule({"predict": Phase()}),
        augmentation=augmentation,
        crop_pct=expects.crop_pct,
        seed=run.seed,
        caching=_NO_CACHE,
    )
    # Its device decides on the number of workers, and whether batches are pinned.
    data.trainer = trainer
    predictions = predict_with(trainer, module, data, "test", run.size, run.files, options.views())
    write_predictions(predictions_of(table, predictions), output)
    return output


def _transforms(run: TrainedRun, options: PredictOptions, run_dir: Path) -> dict[str, Any]:
    """Return the transforms node, checked: it decides on drawn views, and how much detail pictures keep."""
    node = run.config.get("transforms")
    if not isinstance(node, dict):
        raise InputError(f"{run_dir / 'config.yaml'}: transforms={node}: a run has a mapping there")
    # Only drawn views go through the user's own part.
    is_drawn = any(number > 0 for number in options.views().numbers)
    kept = dict(node) if is_drawn else node | {"extra": None}
    check_node(kept, "transforms", options.trust, run_dir / "config.yaml")
    return kept


def _loading(run: TrainedRun, options: PredictOptions) -> Loading:
    return Loading(
        size=run.size,
        batch_size=options.batch_size,
        num_workers=options.num_workers,
        resize=run.resize,
        oversample="none",
        on_error=options.on_error,
        # Each picture is read once: nothing is gained by keeping it.
        device_store="off",
    )


def output_of(options: PredictOptions, run_dir: Path, folder: Path) -> Path:
    """Return the path of the CSV; it is none of the run's own predictions."""
    if options.output is not None:
        return Path(options.output).expanduser()
    name = folder.resolve().name
    suffix = "-folder" if name in ("valid", "test") else ""
    return run_dir / "predictions" / f"{name}{suffix}.csv"
