"""Measure how fast this machine is at a recipe: train on a few pictures, with all that a run does."""

import shutil
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import lightning as pl
import numpy as np
import torch

from imageclf.callbacks.always.progress import ShowProgress, workload_of
from imageclf.data import Table
from imageclf.data.sampler import Rows
from imageclf.schedule import Phase, Place, Schedule, Workload, kind_of, passes_left, seconds_of
from imageclf.schedule.budget import Pace
from imageclf.schedule.remaining import Kind
from imageclf.schedule.size import PictureSize
from imageclf.system.progress import display
from imageclf.training.build import build_callbacks, build_parts, build_trainer
from imageclf.training.run_config import RunConfig

# The first epoch of a phase warms up, the last one ends a cycle; the one between is like most.
_EPOCHS = 3
# Batches of an epoch; the first one is not measured.
_BATCHES = 3
_SEED = 0
_FOLDER = ".probe"
# In place of one that a search would find: any, since the weights are thrown away.
_LR = 1e-4


class Stopwatch(pl.Callback):
    """Note when each epoch starts and when the last one ends, by the clock of the device's finished work."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the time."""
        _finish()
        self.times.append(time.monotonic())

    def on_train_batch_end(self, *arguments: Any) -> None:
        """Let the batch be over before others read the clock."""
        _finish()

    def on_validation_batch_end(self, *arguments: Any) -> None:
        """Let the batch be over before others read the clock."""
        _finish()

    on_train_end = on_train_epoch_start


def _finish() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def measure_pace(config: RunConfig, table: Table, run_dir: Path) -> Pace:
    """Return how fast this machine is at a run.

    The config is for one process. The probe writes beside the run, where the run will write, and
    removes all of it.
    """
    folder = run_dir / _FOLDER
    # Of a command that was killed.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        return _measured(config, table, folder)
    finally:
        shutil.rmtree(folder)


def probe_schedule(schedule: Schedule, size: PictureSize) -> Schedule:
    """Return a phase of a few epochs for each kind of pass of a schedule.

    Pictures have `size` where a phase names none.
    """
    phases: dict[Kind, Phase] = {}
    for place in schedule.places:
        phases.setdefault(kind_of(place.phase, place.size or size), _short(place))
    return Schedule({"-".join(map(str, kind)).replace(" ", "-"): phase for kind, phase in phases.items()})


def _short(place: Place) -> Phase:
    """Return one cycle of a few epochs, all like those at a place; without a search, which takes long."""
    return replace(
        place.phase,
        n_cycles=1,
        cycle_len=_EPOCHS,
        cycle_mult=1,
        warmup=0.0,
        lr=_LR if place.phase.lr == "auto" else place.phase.lr,
        size=place.size,
        batch_size=place.batch_size,
    )


def few_of(table: Table, most: int) -> Table:
    """Return a table with at most so many training and validation pictures, the same each time."""
    kept = [_some(table.rows(split), most) for split in ("train", "valid")]
    return table.without(np.setdiff1d(np.arange(len(table)), np.concatenate(kept)))


def _some(rows: Rows, most: int) -> Rows:
    if len(rows) <= most:
        return rows
    return np.random.default_rng(_SEED).choice(rows, most, replace=False)


def _measured(config: RunConfig, table: Table, folder: Path) -> Pace:
    loading = config.data.loading.for_training(len(table.rows("train")))
    config = replace(
        config,
        data=replace(
            config.data,
            loading=loading,
            caching=replace(config.data.caching, cache_dir=str(folder / "cache")),
        ),
        schedule=probe_schedule(config.schedule, loading.size),
        # A few pictures may have none of some class, and weights of classes take no time.
        model=replace(config.model, class_weights="none"),
        # A search judges its trials by their own cycles.
        callbacks={name: node for name, node in config.callbacks.items() if name != "pruning"},
        logger=None,
    )
    few = few_of(table, _BATCHES * loading.pictures_a_step)
    begun, watch = time.monotonic(), Stopwatch()
    pl.seed_everything(config.seed, verbose=False)
    parts = build_parts(config, few)
    callbacks = [watch, *build_callbacks(config, parts.state, folder), ShowProgress(parts.schedule)]
    trainer = build_trainer(
        config.trainer, parts.schedule.epochs, folder, callbacks, (), parts.data.has_validation
    )
    trainer.fit(parts.module, datamodule=parts.data)
    work = workload_of(trainer)
    whole = work._replace(train=len(table.rows("train")), valid=len(table.rows("valid")))
    return pace_of([begun, *watch.times, time.monotonic()], parts.schedule, display().measured, work, whole)


def pace_of(
    times: list[float],
    schedule: Schedule,
    measured: dict[Kind, tuple[float, int]],
    work: Workload,
    whole: Workload,
) -> Pace:
    """Return the pace of a run: what the passes of a probe do not explain is of epochs, cycles and ends.

    `times` are those of the probe's start, of each epoch's start, of the last one's end, and of the
    probe's end; `measured` has seconds and pictures by kind of pass, `work` is the probe's, and `whole`
    the run's.
    """
    # What the passes explain of the time from each epoch's start on; the last one is that after all epochs.
    left = [
        seconds_of(passes_left(schedule, work, epoch), measured) or 0.0
        for epoch in range(schedule.epochs + 1)
    ]
    start, *epochs, end = (now - then for then, now in pairwise(times))
    others = [span - (now - then) for span, (now, then) in zip(epochs, pairwise(left), strict=True)]
    epoch = max(0.0, median(others[1::_EPOCHS]))
    cycle = max(0.0, median(others[2::_EPOCHS]) - epoch)
    return Pace(measured, whole, max(0.0, start + end - left[-1]), epoch, cycle)
