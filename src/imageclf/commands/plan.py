"""Print and plot what a training will do, without training."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from imageclf import InputError
from imageclf.callbacks.always.plan_files import phase_table, write_plan
from imageclf.configs import to_plain
from imageclf.data import ImageData
from imageclf.system.machine import Machine
from imageclf.system.printable import console
from imageclf.training.build import build_parts
from imageclf.training.parts.accelerator import choose, num_ranks, read_device
from imageclf.training.parts.table import read_table
from imageclf.training.run_config import RunConfig, parse


def run(cfg: DictConfig, folder: Path) -> None:
    """Print the phases as a table; write plan.csv and plan.png."""
    config = parse(to_plain(cfg), RunConfig)
    # The plan needs the architecture, not its weights.
    config = replace(config, model=replace(config.model, weights="none"))
    schedule, module, data = build_parts(config, read_table(config.data, verify=False))
    console().print(phase_table(schedule, module, data))
    print(machine_line(config.trainer, data))
    write_plan(folder, schedule, module, data, found={})
    print(folder / "plan.png")


def machine_line(node: Mapping[str, Any], data: ImageData) -> str:
    """Return what a run would train on, on this machine; it may be planned where it cannot train.

    Args:
        node: the trainer node.
        data: of the run; how its pictures are kept is not known yet.
    """
    try:
        device = read_device(node)
        choice = choose(node, device)
    except InputError as error:
        return f"does not train on this machine: {error}"
    decodes = data.caching.cache in ("jpeg", "none")
    workers = data.loading.workers(len(data.table), device.kind != "cpu", decodes, num_ranks(node))
    machine = Machine.of(device.kind, device.name, choice.precision, choice.deterministic, workers)
    return f"trains on {machine.sentence}"
