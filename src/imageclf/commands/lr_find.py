"""Search the learning rate of one phase on the model as it starts."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import lightning as pl
from omegaconf import DictConfig

from imageclf import InputError
from imageclf.analysis.lr_curve import Suggestion
from imageclf.configs import to_plain
from imageclf.launch.one_process import check_here, in_one_process
from imageclf.schedule import Schedule
from imageclf.system.words import joined
from imageclf.training.build import build_callbacks, build_parts, build_trainer
from imageclf.training.check_values import check_callbacks, needed_callbacks
from imageclf.training.logs import log_to_file
from imageclf.training.parts.accelerator import total_ranks
from imageclf.training.parts.scaled_lrs import scalings
from imageclf.training.parts.table import read_table, stored_sides
from imageclf.training.run_config import RunConfig, parse


@dataclass(frozen=True, kw_only=True)
class LrFindConfig(RunConfig):
    """What imageclf-lr-find takes.

    Args:
        phase: name of the phase whose learning rate is searched; None: the first one.
    """

    phase: str | None


class _StopBeforeTraining(pl.Callback):
    """End the fit before its first batch: the search has run by then."""

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ask the Trainer to stop."""
        trainer.should_stop = True


def run(cfg: DictConfig, folder: Path) -> float | None:
    """Search, print the suggestion as the override to paste and where its plot is, and return it."""
    config = parse(to_plain(cfg), LrFindConfig)
    log_to_file(folder)
    factor = factor_of(config)
    phase, suggestion = search(config, folder)
    print(*suggestion_lines(phase, suggestion, factor), sep="\n")
    print(folder / "lr_find" / f"{phase}.png")
    return suggestion.lr


def factor_of(config: LrFindConfig) -> float:
    """Return what `lr_scaling` will multiply the rate of the searched phase by, once it is a number.

    Raises:
        InputError: as `one_phase` and `scalings`.
    """
    if config.lr_scaling == "none":
        return 1.0
    alone, name = one_phase(config)
    schedule = Schedule({name: replace(alone.schedule.phases[name], lr=1.0)})
    return scalings(replace(alone, schedule=schedule), total_ranks(config.trainer))[name].factor


def suggestion_lines(phase: str, suggestion: Suggestion, factor: float = 1.0) -> list[str]:
    """Return what was found for a phase, and the override that trains with it.

    The suggestion is for the batches that there are; `lr_scaling` multiplies a rate by `factor`.

    >>> suggestion_lines("finetune", Suggestion(0.0026))[1]
    'schedule.phases.finetune.lr=2.6e-03'
    """
    if suggestion.lr is None:
        return [f"{phase}: no learning rate is suggested, because {suggestion.reason}; choose by the plot"]
    scaled = "" if factor == 1 else f" the following, which lr_scaling multiplies by {factor:.4g}"
    return [
        f"{phase}: the suggested learning rate of the head is {suggestion.lr:.2e}; to train with it, "
        f"give{scaled}",
        f"schedule.phases.{phase}.lr={suggestion.lr / factor:.1e}",
    ]


def search(config: LrFindConfig, folder: Path) -> tuple[str, Suggestion]:
    """Search before the first batch of a phase, and return its name and the suggestion.

    The folder receives `lr_find/`.

    Raises:
        InputError: there is no such phase, or this process is one of several or on a login node.
    """
    check_here(config, "imageclf-lr-find")
    config, phase = one_phase(config)
    # The rate of a run is that of its global batch.
    config = in_one_process(config, whole_batches=True)
    pl.seed_everything(config.seed, verbose=False)
    parts = build_parts(config, read_table(config.data, sides=stored_sides(config)))
    callbacks = build_callbacks(config, parts.state, folder, ends=False)
    trainer = build_trainer(config.trainer, 1, folder, [*callbacks, _StopBeforeTraining()])
    trainer.fit(parts.module, datamodule=parts.data)
    found = json.loads((folder / "lr_find" / f"{phase}.json").read_text(encoding="utf-8"))
    return phase, Suggestion(found["suggestion"], found["reason"])


def one_phase(config: LrFindConfig) -> tuple[LrFindConfig, str]:
    """Return a config with one phase alone, its learning rate to be found, and the phase's name.

    Raises:
        InputError: there is no such phase.
    """
    phases = config.schedule.phases
    name = config.phase or next(iter(phases))
    if name not in phases:
        raise InputError(f"phase={name}: there is no such phase; the schedule has {joined(list(phases))}")
    # A list of rates becomes their ratio to the head's.
    if isinstance(phases[name].lr, list):
        raise InputError(
            f"phase={name} has a list of learning rates; give schedule.phases.{name}.lr=auto and lr_ratio"
        )
    schedule = Schedule({name: replace(phases[name], lr="auto")})
    # Nothing that writes, validates or ends a run belongs to a search.
    needed = {key: config.callbacks[key] for key in needed_callbacks(schedule) if key in config.callbacks}
    check_callbacks(needed, schedule)
    return replace(config, callbacks=needed, schedule=schedule, metrics={}), name
