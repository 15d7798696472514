"""Print and plot what a training will do, without training."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig

from imageclf import InputError
from imageclf.callbacks.always.plan_files import phase_table, write_plan
from imageclf.callbacks.always.progress import workload
from imageclf.configs import to_plain
from imageclf.data import ImageData
from imageclf.evaluation.tta_presets import weighted_views
from imageclf.model.module import ClassifierModule
from imageclf.schedule import Workload, passes_left, seconds_of
from imageclf.schedule.budget import Budget
from imageclf.schedule.size import PictureSize, by_pixels, edges
from imageclf.system.machine import Machine
from imageclf.system.printable import console
from imageclf.system.progress import duration
from imageclf.training.budget.fit import fit_to_budget
from imageclf.training.build import build_parts
from imageclf.training.parts.accelerator import choose, num_ranks, read_device, total_ranks
from imageclf.training.parts.scaled_lrs import scale_lrs, scaling_words
from imageclf.training.parts.shared_batches import per_process
from imageclf.training.parts.table import read_table
from imageclf.training.run_config import RunConfig, parse


def run(cfg: DictConfig, folder: Path) -> None:
    """Print the phases as a table; write plan.csv and plan.png."""
    fit_to_budget(cfg, folder)
    config = parse(to_plain(cfg), RunConfig)
    ranks = total_ranks(config.trainer)
    scaling = scaling_words(config, ranks)
    config = per_process(scale_lrs(config, ranks), 1)
    # The plan needs the architecture, not its weights.
    config = replace(config, model=replace(config.model, weights="none"))
    schedule, module, data = build_parts(config, read_table(config.data, verify=False))
    console().print(phase_table(schedule, module, data))
    if scaling:
        print(scaling)
    # A budget of time has said it. Of a GPU, and of several ranks, a run says it after its first batches.
    is_said = config.budget is not None and Budget.read(config.budget).unit == "seconds"
    if not is_said and trains_on(config.trainer) == "cpu" and num_ranks(config.trainer) == 1:
        print(duration_line(config, module, data))
    print(machine_line(config.trainer, data))
    write_plan(folder, schedule, module, data, found={})
    print(folder / "plan.png")


def duration_line(config: RunConfig, module: ClassifierModule, data: ImageData) -> str:
    """Return how long a run takes on this CPU, by the time of one batch at its smallest size."""
    size, pictures = by_pixels(config.schedule.sizes(data.loading.size))[0], data.loading.pictures_a_step
    measured = {("evaluation", size): (seconds_of_batch(module, size, pictures), pictures)}
    left = seconds_of(passes_left(config.schedule, planned_workload(config, data), epoch=0), measured)
    return f"takes about {duration(left or 0.0)} on this machine, if nothing else keeps it busy"


def trains_on(node: Mapping[str, Any]) -> str | None:
    """Return what a run trains on, on this machine: cpu, cuda or mps; None where it cannot."""
    try:
        return read_device(node).kind
    except InputError:
        return None


def seconds_of_batch(module: ClassifierModule, size: PictureSize, pictures: int) -> float:
    """Return how long a forward pass takes: the second one, since the first warms up."""
    images = torch.zeros(pictures, module.model.channels, *edges(size), dtype=module.model.dtype)
    images = images.to(memory_format=torch.channels_last)
    module.model.eval()
    with torch.inference_mode():
        module.model(images)
        start = time.perf_counter()
        module.model(images)
        return time.perf_counter() - start


def planned_workload(config: RunConfig, data: ImageData) -> Workload:
    """Return what a run does besides its epochs, by its config: no callback is built."""
    nodes = config.callbacks
    # Another class in the place of ours has other keys, and only it knows its views.
    tta, keys = nodes.get("tta", {}), ("views", "num_augmented", "beta")
    views = weighted_views(*(tta[key] for key in keys)).numbers if tta.keys() >= set(keys) else ()
    return workload(
        data,
        num_steps=nodes.get("lr_finder", {}).get("num_steps") or 0,
        num_views=len(views),
        compares="snapshots" in nodes,
    )


def machine_line(node: Mapping[str, Any], data: ImageData) -> str:
    """Return what a run would train on, on this machine; it may be planned where it cannot train.

    How the run's pictures are kept is not known yet.
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
