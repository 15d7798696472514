"""Search the learning rate of one phase on the model as it starts."""

import json
from pathlib import Path
from typing import Any

import lightning as pl

from imageclf import InputError
from imageclf.analysis.lr_curve import Suggestion
from imageclf.launch.one_process import in_one_process
from imageclf.schedule import Schedule
from imageclf.training.build import build_callbacks, build_parts, build_trainer
from imageclf.training.check_values import needed_callbacks
from imageclf.training.parts.sides import stored_sides
from imageclf.training.parts.table import read_table


class _StopBeforeTraining(pl.Callback):
    """End the fit before its first batch: the search has run by then."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ask the Trainer to stop."""
        trainer.should_stop = True


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
    callbacks = build_callbacks(config, parts.schedule, parts.state, folder, ends=False)
    trainer = build_trainer(config, 1, folder, [*callbacks, _StopBeforeTraining()])
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
    schedule = {"phases": {name: {**phases[name], "lr": "auto"}}}
    # Nothing that writes, validates or ends a run belongs to a search.
    needed = needed_callbacks(Schedule.from_plain(schedule["phases"]))
    nodes = {key: node for key, node in config["callbacks"].items() if key in needed}
    return {**config, "callbacks": nodes, "schedule": schedule, "logger": None, "metrics": {}}, name
