"""Commands that need a few batches, not a whole run, work in one process whatever the number of ranks."""

import logging
from collections.abc import Sequence
from typing import Any

from imageclf import InputError
from imageclf.system.world import World
from imageclf.training.parts.accelerator import total_ranks

log = logging.getLogger(__name__)


def in_one_process(config: dict[str, Any], whole_batches: bool) -> dict[str, Any]:
    """Return a config for one process: else Lightning would start the whole command again for each rank.

    Args:
        config: of a training.
        whole_batches: whether the process takes the batches of all ranks together; else those of one rank.

    Raises:
        InputError: srun or torchrun started this process as one of several.
    """
    tasks = World.of_process().size
    if tasks > 1:
        raise InputError(
            f"srun or torchrun started {tasks} tasks, but this command works in one process: "
            "start it by itself"
        )
    trainer = config["trainer"]
    ranks, devices = total_ranks(trainer), trainer.get("devices", 1)
    config = {
        **config,
        "trainer": {
            **{key: value for key, value in trainer.items() if key != "num_nodes"},
            "strategy": "auto",
            "devices": devices[:1] if isinstance(devices, list) else 1,
        },
    }
    if ranks == 1:
        return config
    if not whole_batches:
        log.info("one process works for %d ranks; data.batch_size is per process", ranks)
        return config
    log.info(
        "one process works for %d ranks, on their batches together: %d times data.batch_size", ranks, ranks
    )
    return _with_larger_batches(config, ranks)


def _with_larger_batches(config: dict[str, Any], ranks: int) -> dict[str, Any]:
    phases = {
        name: phase | {"batch_size": _times(phase["batch_size"], ranks)} if phase.get("batch_size") else phase
        for name, phase in config["schedule"]["phases"].items()
    }
    data = {**config["data"], "batch_size": config["data"]["batch_size"] * ranks}
    return {**config, "data": data, "schedule": {**config["schedule"], "phases": phases}}


def _times(value: int | Sequence[int], ranks: int) -> int | list[int]:
    """Multiply the batch size of a phase, or those of its cycles."""
    return [each * ranks for each in value] if isinstance(value, Sequence) else value * ranks
