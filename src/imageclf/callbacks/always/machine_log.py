"""What a run trains on and how it computes there, as its log and summary.json say it."""

import logging
from typing import Any

import lightning as pl
import torch

from imageclf.data import ImageData
from imageclf.system.machine import Exact, Machine, processor_name

log = logging.getLogger(__name__)


def machine_of(trainer: pl.Trainer, data: ImageData) -> Machine:
    """Return what a run trains on: what there is, not what was asked for."""
    device = trainer.strategy.root_device
    exact: Exact = torch.are_deterministic_algorithms_enabled()
    if exact and torch.is_deterministic_algorithms_warn_only_enabled():
        exact = "warn"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name()
    return Machine.of(device.type, name, str(trainer.precision), exact, data.num_workers)


class LogMachine(pl.Callback):
    """Say at the start of training what it runs on."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log one line, on the first rank."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if trainer.is_global_zero:
            log.info("trains on %s", machine_of(trainer, data).sentence)
