"""What a run trains on and how it computes there, as the log, the plan and summary.json say it."""

import logging
from typing import Any, Literal

import lightning as pl
import torch

from imageclf import InputError
from imageclf.data import ImageData
from imageclf.machine import Machine, processor_name
from imageclf.runs.accelerator import choose, read_device
from imageclf.runs.launched import num_ranks

log = logging.getLogger(__name__)

Exact = bool | Literal["warn"]


def machine_of(trainer: pl.Trainer, data: ImageData) -> Machine:
    """Return what a run trains on: what there is, not what was asked for."""
    device = trainer.strategy.root_device
    exact: Exact = torch.are_deterministic_algorithms_enabled()
    if exact and torch.is_deterministic_algorithms_warn_only_enabled():
        exact = "warn"
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name()
    return _machine(device.type, name, str(trainer.precision), exact, data.num_workers)


def machine_line(node: dict[str, Any], data: ImageData) -> str:
    """Return the plan's line about this machine; a run may be planned where it is not to train."""
    try:
        return f"trains on {planned_machine(node, data).sentence}"
    except InputError as error:
        return f"does not train on this machine: {error}"


def planned_machine(node: dict[str, Any], data: ImageData) -> Machine:
    """Return what a run would train on, on this machine.

    Args:
        node: the trainer node.
        data: of the run; how its pictures are kept is not known yet.

    Raises:
        InputError: the machine has not what the node asks for.
    """
    device = read_device(node)
    choice = choose(node, device)
    decodes = data.caching.cache in ("jpeg", "none")
    workers = data.loading.workers(len(data.table), device.kind != "cpu", decodes, num_ranks(node))
    return _machine(device.kind, device.name, choice.precision, choice.deterministic, workers)


def _machine(kind: str, name: str, precision: str, exact: Exact, workers: int) -> Machine:
    # On the CPU nothing is left to warn of.
    return Machine(kind, name, precision, exact if kind != "cpu" else bool(exact), workers)


class LogMachine(pl.Callback):
    """Say at the start of training what it runs on."""

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log one line, on the first rank."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if trainer.is_global_zero:
            log.info("trains on %s", machine_of(trainer, data).sentence)
