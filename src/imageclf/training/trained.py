"""What predict and export read from a run directory, which anyone may have written: few values, checked."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import lightning as pl

from imageclf import InputError
from imageclf.configs import Trust, check_node, load_config, read_config, read_object
from imageclf.configs.keys import accepts, describe
from imageclf.configs.options import ModelOptions
from imageclf.configs.plain import select
from imageclf.data import Augmentation
from imageclf.data.pictures.pixels import RGB, Pixels
from imageclf.data.sources.names import natural_sorted
from imageclf.data.views.geometry import Resize
from imageclf.evaluation.candidates import candidate_files
from imageclf.model.backbone import DataConfig
from imageclf.model.module import ClassifierModule
from imageclf.model.weights.files import classes_of
from imageclf.schedule.size import PictureSize, read_size
from imageclf.system.files import is_file, why_not_listed
from imageclf.system.printable import written
from imageclf.system.signals import resuming
from imageclf.system.words import counted, reason_of
from imageclf.tasks import Task
from imageclf.training.build import build_trainer
from imageclf.training.check_keys import check_built
from imageclf.training.parts.module import build_module
from imageclf.training.parts.pixels import load_pixels
from imageclf.training.run_config import build_augmentation, build_task

_MAPPING = Mapping[str, Any]
_MOST_SIZES = 1000


class TrainedRun(NamedTuple):
    """What a finished run has trained, as far as predict and export need it.

    Args:
        backbone: any timm name, or a node, checked.
        head: its node, checked; None: the last layer of the backbone.
        channels_last: whether convolution weights and pictures are; auto: see `model.layout`.
        resize: how pictures become their size.
        sizes: of the pictures of all phases.
        size: of those of the last one.
        seed: of drawn views.
        files: of weights.
        classes: in class order.
        task: what a label is, with what it learned of the validation pictures.
        config: config.yaml as written; a node of it is built only after `check_node`.
        pixels: what the pictures are decoded to.
    """

    backbone: str | dict[str, Any]
    head: dict[str, Any] | None
    channels_last: bool | Literal["auto"]
    resize: Resize
    sizes: set[PictureSize]
    size: PictureSize
    seed: int
    files: list[Path]
    classes: tuple[str, ...]
    task: Task
    config: dict[str, Any]
    pixels: Pixels = RGB

    @property
    def network(self) -> str:
        """The name of the backbone: timm's, or that of the user's class."""
        return self.backbone if isinstance(self.backbone, str) else str(self.backbone["_target_"])


def read_trained(run_dir: Path, weights: str, trust: Trust) -> TrainedRun:
    """Read what a finished run has trained.

    `weights` names a candidate, as in `candidate_files`; `trust` names further modules whose classes may
    be built, or all.

    Raises:
        InputError: the run is not finished, has no such weights, or its config has an illegal value.
    """
    source = run_dir / "config.yaml"
    # What the config looks up in the environment is looked up only for those who trust all of it.
    config = load_config(source) if trust == "all" or "all" in trust else read_config(source)
    head = _value(config, "model.head", _MAPPING | None, source)
    backbone = _value(config, "model.backbone", str | _MAPPING, source)
    for key, node in (("model.head", head), ("model.backbone", backbone)):
        check_node(node, key, trust, source)
    files = candidate_files(run_dir, weights)
    sizes = _sizes(config, source)
    summary, classes = read_object(run_dir / "summary.json"), classes_of(files[0])
    return TrainedRun(
        backbone=backbone,
        head=head,
        channels_last=_value(config, "model.channels_last", bool | Literal["auto"], source),
        resize=_value(config, "data.resize", Resize, source),
        sizes=sizes,
        size=_last_size(summary.get("size"), run_dir / "summary.json", sizes),
        # A seed of ours is smaller; that of a stranger's file may be any number.
        seed=_value(config, "seed", int, source) % 2**32,
        files=files,
        classes=classes,
        task=_task(config, trust, source).restored(summary, len(classes)),
        config=config,
        pixels=load_pixels(run_dir),
    )


def build_trained(run: TrainedRun) -> tuple[ClassifierModule, DataConfig]:
    """Build the network without its weights, and return what they expect of a picture.

    Raises:
        InputError: there is no such network.
    """
    # Nothing is trained: of all this only backbone, head and channels_last count.
    options = ModelOptions(
        backbone=run.backbone,
        weights="none",
        drop_path_rate=None,
        groups=2,
        head=run.head,
        optimizer={"_target_": "torch.optim.SGD"},
        loss={"_target_": "torch.nn.CrossEntropyLoss"},
        class_weights="none",
        channels_last=run.channels_last,
        compile=None,
        mixing=None,
    )
    try:
        module, expects = build_module(options, dict.fromkeys(run.classes, 1), run.sizes, pixels=run.pixels)
    except InputError:
        raise
    # Values that no training has had may raise anything.
    except Exception as error:
        raise InputError(f"the network of config.yaml cannot be built: {reason_of(error)}") from error
    # Now: the loss above would be refused for another task.
    module.task = run.task
    return module, expects


class BuiltRun(NamedTuple):
    """A run whose network is built; its weights are read whenever it predicts.

    Args:
        module: holds the network.
        expects: what the network expects of a picture.
    """

    run_dir: Path
    run: TrainedRun
    module: ClassifierModule
    expects: DataConfig


def finished(run: str | os.PathLike[str]) -> Path:
    """Return the directory of a run by its path.

    Raises:
        InputError: no finished run is there.
    """
    run_dir = Path(run).expanduser()
    if not is_file(run_dir / "summary.json"):
        raise InputError(f"run={run}: no finished run is there; {_instead_of_run(run_dir)}")
    return run_dir


def _instead_of_run(run_dir: Path) -> str:
    """Return what a path leads to that is no finished run, and what to do."""
    if reason := why_not_listed(run_dir):
        return reason
    if (run_dir / "config.yaml").exists():
        return f"this one is not finished; go on with: {resuming(run_dir)}"
    below = natural_sorted(file.parent.name for file in run_dir.glob("*/summary.json"))
    if below:
        return f"the folder holds {counted(len(below), 'finished run')}, such as {run_dir / below[0]}"
    return "a finished run holds a summary.json"


def augmentation_of(run: TrainedRun, run_dir: Path, trust: Trust, is_drawn: bool) -> Augmentation:
    """Build the transforms of a run: they decide on drawn views, and how much detail pictures keep.

    Only drawn views go through the user's own part.

    Raises:
        InputError: the config has something else there, or code that is not trusted.
    """
    source = run_dir / "config.yaml"
    node = _value(run.config, "transforms", _MAPPING, source)
    kept = dict(node) if is_drawn else node | {"extra": None}
    check_node(kept, "transforms", trust, source)
    try:
        check_built({"transforms": kept})
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    return build_augmentation(kept)


def build_predicting_trainer(run_dir: Path, precision: str) -> pl.Trainer:
    """Build a Trainer that predicts on this machine's device, whatever the run was trained on."""
    node = {
        "_target_": "lightning.Trainer",
        "accelerator": "auto",
        "devices": 1,
        "precision": precision,
        "enable_progress_bar": False,
    }
    return build_trainer(node, 1, run_dir, [])


def _value(config: dict[str, Any], key: str, annotation: Any, source: Path) -> Any:
    value = select(config, key)
    if not accepts(annotation, value):
        raise InputError(f"{source}: {key}={written(value)[:100]}: a run has {describe(annotation)} there")
    return value


def _sizes(config: dict[str, Any], source: Path) -> set[PictureSize]:
    """Return the sizes of all phases, without building a schedule: it may be of any length."""
    whole = read_size(select(config, "data.size"), f"{source}: data.size")
    sizes: set[PictureSize] = set()
    for name, phase in _value(config, "schedule.phases", _MAPPING, source).items():
        size = phase.get("size") if isinstance(phase, dict) else None
        each = size if isinstance(size, list) else [size]
        key = f"{source}: schedule.phases.{name}.size"
        # One more than a run may have is enough to refuse it.
        sizes |= {whole if one is None else read_size(one, key) for one in each[: _MOST_SIZES + 1]}
    if not 1 <= len(sizes) <= _MOST_SIZES:
        raise InputError(f"{source}: schedule.phases has {len(sizes)} sizes: a run has 1 to {_MOST_SIZES}")
    return sizes


def _task(config: dict[str, Any], trust: Trust, source: Path) -> Task:
    # Runs of earlier versions have none.
    node = _value(config, "task", _MAPPING | None, source)
    check_node(node, "task", trust, source)
    check_built({"task": node} if node else {})
    return build_task(node)


def _last_size(size: object, path: Path, sizes: set[PictureSize]) -> PictureSize:
    found = read_size(size, f"{path}: size")
    if found not in sizes:
        raise InputError(f"{path}: size={found} is none of the sizes of config.yaml")
    return found
