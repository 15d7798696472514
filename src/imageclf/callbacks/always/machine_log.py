"""Log what a run trains on, and how long torch.compile took."""

import logging
import os
import socket
from datetime import date

import lightning as pl
import torch

from imageclf.callbacks.callback import data_of
from imageclf.data import ImageData
from imageclf.model.compiling import CompileClock
from imageclf.schedule import Schedule
from imageclf.system.machine import Exact, Machine, processor_name
from imageclf.system.words import counted
from imageclf.system.world import Environment, job_id

log = logging.getLogger(__name__)


def machine_of(trainer: pl.Trainer, data: ImageData) -> Machine:
    """Return what a run trains on: what it got, not what the config asked for."""
    device = trainer.strategy.root_device
    exact: Exact = torch.are_deterministic_algorithms_enabled()
    if exact and torch.is_deterministic_algorithms_warn_only_enabled():
        exact = "warn"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name()
    return Machine.of(device.type, name, str(trainer.precision), exact, data.num_workers)


def start_words(day: date, host: str, environment: Environment) -> str:
    """Return when and where a run starts or goes on: the lines of its log have only the time.

    >>> start_words(date(2027, 1, 31), "node7", {"SLURM_JOB_ID": "42"})
    '2027-01-31 on node7, job 42'
    """
    job = job_id(environment)
    return f"{day} on {host}" + (f", job {job}" if job else "")


class LogMachine(pl.Callback):
    """Log what a run trains on, the day, the host and the job."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log one line, on the first rank."""
        if trainer.is_global_zero:
            machine = machine_of(trainer, data_of(trainer)).sentence
            log.info("trains on %s; %s", machine, start_words(date.today(), socket.gethostname(), os.environ))


class CompileLog(pl.Callback):
    """Log at the end of each phase how long it compiled; after all callbacks that may compile something."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._clock = CompileClock()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Start the clock."""
        self._clock.start()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log at a phase's end."""
        place = self._schedule.at(trainer.current_epoch)
        if place.is_phase_end:
            self._log(trainer, f"phase {place.name}")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log what came after the last phase, or in one that was stopped."""
        self._log(trainer, "the end of the run")

    def teardown(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Stop the clock."""
        self._clock.stop()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Stop the clock: the process may go on with another run."""
        self._clock.stop()

    def _log(self, trainer: pl.Trainer, when: str) -> None:
        count, seconds = self._clock.take()
        if seconds > 0 and trainer.is_global_zero:
            log.info("%s: compiled %s of the body in %.1f s", when, counted(count, "graph"), seconds)
