"""Search the learning rate of one phase on the model as it starts."""

import json
from pathlib import Path
from typing import Any

import lightning as pl
from omegaconf import DictConfig

from imageclf import InputError
from imageclf.analysis.lr_curve import Suggestion
from imageclf.configs import to_plain
from imageclf.configs.options import LrFindOptions
from imageclf.launch.one_process import in_one_process
from imageclf.training.build import build_callbacks, build_parts, build_trainer
from imageclf.training.check_keys import check
from imageclf.training.logs import log_to_file
from imageclf.training.parts.sides import stored_sides
from imageclf.training.parts.table import read_table

_NEEDED = ("unfreezing", "precompute", "progressive_resizing", "lr_finder", "warm_restarts")


class _StopBeforeTraining(pl.Callback):
    """End the fit before its first batch: the search has run by then."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ask the Trainer to stop."""
        trainer.should_stop = True


def run(cfg: DictConfig, folder: Path) -> float | None:
    """Search, print the suggestion and where its plot is, and return it."""
    config = to_plain(cfg)
    check(config, LrFindOptions)
    log_to_file(folder)
    phase, suggestion = search(config, folder)
    shown = f"{suggestion.lr:.2e}" if suggestion.lr else f"none, because {suggestion.reason}"
    print(f"{phase}: suggested learning rate of the head {shown}")
    print(folder / "lr_find" / f"{phase}.png")
    return suggestion.lr


def search(config: dict[str, Any], folder: Path) -> tuple[str, Suggestion]:
    """Search before the first batch of a phase, and return its name and the suggestion.

    Args:
        config: of a training, and the phase's name under `phase` (None: the first one).
        folder: receives `lr_find/`.

    Raises:
        InputError: there is no such phase, or this process is one of several.
    """
    config, phase = one_phase(config)
    # The rate of a run is that of its global batch.
    config = in_one_process(config, whole_batches=True)
    pl.seed_everything(config["seed"], verbose=False)
    parts = build_parts(config, read_table(config["data"], sides=stored_sides(config)))
    callbacks = [*build_callbacks(config, parts.schedule, folder, ends=False), _StopBeforeTraining()]
    trainer = build_trainer(config, 1, folder, callbacks)
    trainer.fit(parts.module, datamodule=parts.data)
    found = json.loads((folder / "lr_find" / f"{phase}.json").read_text(encoding="utf-8"))
    return phase, Suggestion(found["suggestion"], found["reason"])


def one_phase(config: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return a config with one phase alone, its learning rate to be found, and the phase's name.

    Raises:
        InputError: there is no such phase.
    """
    phases = config["schedule"]["phases"]
    name = config["phase"] or next(iter(phases))
    if name not in phases:
        raise InputError(f"phase={name}: the schedule has {', '.join(phases)}")
    rates = phases[name].get("lr")
    # A list of rates becomes their ratio to the head's.
    if isinstance(rates, list):
        raise InputError(
            f"phase={name} has a list of learning rates; give schedule.phases.{name}.lr=auto and lr_ratio"
        )
    # Nothing that writes, validates or ends a run belongs to a search.
    needed = {key: node for key, node in config["callbacks"].items() if key in _NEEDED}
    schedule = {"phases": {name: {**phases[name], "lr": "auto"}}}
    return {**config, "callbacks": needed, "schedule": schedule, "logger": None, "metrics": {}}, name
