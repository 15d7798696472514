"""The tasks that srun or torchrun started: the first one composes the run, and broadcasts its directory."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from imageclf import InputError
from imageclf.launch.slurm.requeue import requeue_when_preempted
from imageclf.system.locks import locked
from imageclf.system.world import WAIT, World
from imageclf.training.door import run
from imageclf.training.failure import record_failure

_KEY = "run_dir"


def train_task(run_dir: Path) -> None:
    """Train a run directory that exists already, as one of the tasks or as the only one.

    Raises:
        InputError: as in `run`, or another job holds the directory.
        Preempted: as in `run`; a job of SLURM is requeued by then.
    """
    # The first task is the one that writes into the directory.
    is_first = World.of_process().rank == 0
    with (
        requeue_when_preempted(),
        locked(run_dir, is_first),
        record_failure(run_dir) if is_first else nullcontext(),
    ):
        run(run_dir)


@contextmanager
def broadcasting(world: World) -> Iterator[Callable[[Path], None]]:
    """Yield the function by which the first task tells the others the run directory.

    If it is never called, the other tasks end without training.

    Raises:
        InputError: this is the second run of the tasks: a sweep.
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


def train_broadcast_run() -> None:
    """Wait until the first task broadcasts the run directory, and train it.

    Raises:
        InputError: the first task does not answer.
    """
    with requeue_when_preempted():
        try:
            run_dir = _store(World.of_process()).get(_KEY).decode()
        except RuntimeError as error:
            raise InputError(f"the first task did not name a run directory within {WAIT}") from error
        # It is empty if the run is refused, or is finished already; the first task reports that.
        if run_dir:
            run(Path(run_dir))


@cache
def _store(world: World) -> Any:
    """Return the tasks' common store; training uses it too, so it lives as long as the process."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        # Reading these sets MASTER_ADDR and MASTER_PORT to what the training will use.
        cluster = SLURMEnvironment(auto_requeue=False)
        _ = cluster.main_address, cluster.main_port
    # torchrun has set the address of its own store, and rank and size.
    store, _, _ = next(rendezvous("env://", world.rank, world.size, timeout=WAIT))
    return PrefixStore("imageclf", store)
