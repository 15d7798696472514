"""Tasks that srun or torchrun started: the first composes the run, the others are told where it is."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from imageclf import InputError
from imageclf.runs.slurm import Environment, num_tasks

# The first task decodes every picture of a new data set; the others wait for it no longer than this.
WAIT = timedelta(hours=2)
_KEY = "run_dir"


class World(NamedTuple):
    """Which of how many tasks this process is.

    Args:
        rank: 0 is the one that composes, checks and writes.
        size: 1 where this command starts its ranks itself.
    """

    rank: int
    size: int

    @classmethod
    def of(cls, environment: Environment) -> "World":
        """Return what srun or torchrun says.

        >>> World.of({"TORCHELASTIC_RUN_ID": "none", "RANK": "1", "WORLD_SIZE": "2"})
        World(rank=1, size=2)
        >>> World.of({"SLURM_PROCID": "0", "SLURM_NTASKS": "2"})  # a batch script without srun
        World(rank=0, size=1)
        """
        if "TORCHELASTIC_RUN_ID" in environment:
            return cls(int(environment["RANK"]), int(environment["WORLD_SIZE"]))
        size = num_tasks(environment)
        return cls(int(environment["SLURM_PROCID"]) if size > 1 else 0, size)

    @classmethod
    def of_process(cls) -> "World":
        """Return what srun or torchrun says to this process."""
        return cls.of(os.environ)


@contextmanager
def leading(world: World) -> Iterator[Callable[[Path], None]]:
    """Yield what the first task tells the others the run directory with; let them go if it never does.

    Raises:
        InputError: a second run is to be told: the others take one.
    """
    if world.size == 1:
        yield lambda run_dir: None
        return
    store = _store(world)
    if store.check([_KEY]):
        raise InputError("a sweep is not for srun or torchrun: start the command by itself, or one run of it")
    try:
        yield lambda run_dir: store.set(_KEY, str(run_dir.resolve()))
    finally:
        if not store.check([_KEY]):
            store.set(_KEY, "")


def num_ranks(trainer: dict[str, Any]) -> int:
    """Return how many processes a trainer node asks for on this machine."""
    devices = trainer.get("devices", 1)
    if isinstance(devices, list):
        return len(devices)
    if devices in ("auto", -1, "-1"):
        import torch

        return max(1, torch.cuda.device_count()) if trainer.get("accelerator") != "cpu" else 1
    return int(devices)


def follow() -> None:
    """Wait for the first task's run directory, and go through the one door.

    Raises:
        InputError: the first task does not answer.
    """
    from imageclf import worker
    from imageclf.runs.requeue import requeued

    with requeued():
        try:
            told = _store(World.of_process()).get(_KEY).decode()
        except RuntimeError as error:
            raise InputError(f"the first task did not say where the run is within {WAIT}") from error
        # Nothing: it was refused, or is finished already; the first task says which.
        if told:
            worker.run(Path(told))


@cache
def _store(world: World) -> Any:
    """Return the tasks' common store; training meets at the same one, so it lives as long as the process."""
    from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    if "TORCHELASTIC_RUN_ID" not in os.environ:
        # Asking sets MASTER_ADDR and MASTER_PORT as training will have them.
        cluster = SLURMEnvironment(auto_requeue=False)
        _ = cluster.main_address, cluster.main_port
    # From torchrun the address of its own store is in the environment, and so are rank and size.
    store, _, _ = next(rendezvous("env://", world.rank, world.size, timeout=WAIT))
    return PrefixStore("imageclf", store)
