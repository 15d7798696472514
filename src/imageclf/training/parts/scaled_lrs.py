"""`lr_scaling`: the learning rates of a config, for the batches of all its ranks together."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from imageclf import InputError
from imageclf.schedule import Phase, Schedule
from imageclf.schedule.lr_scaling import lr_factor, scaled
from imageclf.training.run_config import Config, RunConfig


class Scaling(NamedTuple):
    """How the rates of a phase are scaled.

    Args:
        pictures: a step, of all ranks and accumulated batches.
        factor: on each rate.
    """

    pictures: int
    factor: float


def scale_lrs(config: Config, ranks: int) -> Config:
    """Return a config whose rates are those for its batches, and which asks for no further scaling.

    The config's batches are not divided among the ranks yet, which are those of all nodes.

    Raises:
        InputError: as `scalings`.
    """
    if config.lr_scaling == "none":
        return config
    found = scalings(config, ranks)
    phases = {
        name: scaled(phase, found[name].factor) if name in found else phase
        for name, phase in config.schedule.phases.items()
    }
    return replace(config, schedule=Schedule(phases), lr_scaling="none")


def scalings(config: RunConfig, ranks: int) -> dict[str, Scaling]:
    """Return how each phase is scaled whose rates are numbers; arguments as in `scale_lrs`.

    Raises:
        InputError: the size of a batch is not known, or changes within a phase.
    """
    found = {}
    for name, phase in config.schedule.phases.items():
        if phase.lr != "auto":
            pictures = _pictures(config, name, phase, ranks)
            found[name] = Scaling(pictures, lr_factor(config.lr_scaling, pictures, config.lr_batch_size))
    return found


def scaling_words(config: RunConfig, ranks: int) -> str | None:
    """Return how the rates are scaled, in a line; None where they are not. Arguments as in `scale_lrs`.

    Raises:
        InputError: as `scalings`.
    """
    if config.lr_scaling == "none":
        return None
    parts = [
        f"{name} x {each.factor:.4g} for {each.pictures} pictures a step"
        for name, each in scalings(config, ranks).items()
    ]
    phases = ", ".join(parts) or "every lr is auto, and is found with the batches that there are"
    return f"lr_scaling={config.lr_scaling}, from lr_batch_size={config.lr_batch_size}: {phases}"


def _pictures(config: RunConfig, name: str, phase: Phase, ranks: int) -> int:
    loading, rule = config.data.loading, f"lr_scaling={config.lr_scaling}"
    whole = loading.global_batch_size
    size = phase.batch_size or whole or loading.batch_size
    if size == "auto":
        raise InputError(
            f"{rule}: data.batch_size=auto goes by the number of pictures; give it a number, or "
            "data.global_batch_size"
        )
    if isinstance(size, Sequence):
        raise InputError(
            f"{rule}: schedule.phases.{name}.batch_size={list(size)} changes within the phase; make a phase "
            "of each size, or scale its rates yourself and leave lr_scaling=none"
        )
    accumulated = int(config.trainer.get("accumulate_grad_batches") or 1)
    return size * accumulated * (1 if whole else ranks)
