"""Tasks that srun or torchrun started: the first composes the run, the others are told where it is."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from imageclf import InputError
from imageclf.launch.slurm.requeue import requeued
from imageclf.system.world import WAIT, World
from imageclf.training.door import run

_KEY = "run_dir"


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


def follow() -> None:
    """Wait for the first task's run directory, and go through the one door.

    Raises:
        InputError: the first task does not answer.
    """
    with requeued():
        try:
            told = _store(World.of_process()).get(_KEY).decode()
        except RuntimeError as error:
            raise InputError(f"the first task did not say where the run is within {WAIT}") from error
        # Nothing: it was refused, or is finished already; the first task says which.
        if told:
            run(Path(told))


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
