"""What a run trains on and how it computes there, as the plan says it."""

from collections.abc import Mapping
from typing import Any

from imageclf import InputError
from imageclf.data import ImageData
from imageclf.system.machine import Machine
from imageclf.training.parts.accelerator import choose, num_ranks, read_device


def machine_line(node: Mapping[str, Any], data: ImageData) -> str:
    """Return the plan's line about this machine; a run may be planned where it is not to train."""
    try:
        return f"trains on {planned_machine(node, data).sentence}"
    except InputError as error:
        return f"does not train on this machine: {error}"


def planned_machine(node: Mapping[str, Any], data: ImageData) -> Machine:
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
    return Machine.of(device.kind, device.name, choice.precision, choice.deterministic, workers)
