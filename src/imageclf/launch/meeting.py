"""How the tasks of srun or torchrun agree on a run, also after torchrun has restarted them.

torchrun keeps its store when it restarts tasks, and no variable that it sets is both the same on all nodes
and another one after each restart. So every process asks in its own name, and the answer names a port where
nobody has met before: torch's process group would find the addresses of processes that are gone.
"""

import os
import time
from functools import cache
from typing import Any
from uuid import uuid4

from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from imageclf.system.processes import held_port
from imageclf.system.world import WAIT, World, torchrun_ranks

# Seconds between two questions of a task, and between two looks into the store.
_PAUSE, _LOOK = 1.0, 0.05


def tell(world: World, run_dir: str, seconds: float) -> None:
    """Tell every other task the run directory, until it has heard it or the time is over.

    An empty directory says that there is nothing to train. Tasks that are still on their way are waited for
    so many seconds.
    """
    store, port = store_of(world), str(_port()) if torchrun_ranks(os.environ) else ""
    # What was heard before a restart is in the store too, so every answer has a name as well.
    answer = uuid4().hex
    deadline = time.monotonic() + seconds
    for rank in range(1, world.size):
        while time.monotonic() < deadline:
            if not _arrives(store, f"asks/{rank}"):
                continue
            # A process from before a restart never hears this one; by then another one has asked.
            name = store.get(f"asks/{rank}").decode()
            store.set(f"told/{name}", f"{answer}:{port}:{run_dir}")
            if _arrives(store, f"heard/{answer}/{rank}"):
                break
    _meet_at(port)


def ask(world: World) -> str | None:
    """Return the run directory that the first task tells, "" for none; None if it does not answer."""
    store, name = store_of(world), uuid4().hex
    deadline = time.monotonic() + WAIT.total_seconds()
    while time.monotonic() < deadline:
        # Again and again: the last process of this rank may have asked later than this one.
        store.set(f"asks/{world.rank}", name)
        if _arrives(store, f"told/{name}"):
            answer, port, run_dir = store.get(f"told/{name}").decode().split(":", 2)
            store.set(f"heard/{answer}/{world.rank}", "")
            _meet_at(port)
            return str(run_dir)
    return None


@cache
def store_of(world: World) -> Any:
    """Return the tasks' common store, which lives as long as the process."""
    if torchrun_ranks(os.environ) is None:
        # Reading these sets MASTER_ADDR and MASTER_PORT to what the training will use.
        cluster = SLURMEnvironment(auto_requeue=False)
        _ = cluster.main_address, cluster.main_port
    # torchrun has set the address of its own store, and rank and size.
    store, _, _ = next(rendezvous("env://", world.rank, world.size, timeout=WAIT))
    return PrefixStore("imageclf", store)


@cache
def _port() -> int:
    """Return a port that is kept until this process ends: the last task may come much later."""
    held = held_port()
    port: int = held.getsockname()[1]
    held.detach()
    return port


def _arrives(store: Any, key: str) -> bool:
    """Return whether a key is set before the task asks again; waiting in the store would print warnings."""
    deadline = time.monotonic() + _PAUSE
    while time.monotonic() < deadline:
        if store.check([key]):
            return True
        time.sleep(_LOOK)
    return False


def _meet_at(port: str) -> None:
    """Let torch's process group meet at a port of the first task, in place of torchrun's store."""
    if port:
        os.environ |= {"MASTER_PORT": port, "TORCHELASTIC_USE_AGENT_STORE": "False"}
