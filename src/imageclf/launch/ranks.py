"""Several ranks on one machine, a process each."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from imageclf import InputError, Preempted
from imageclf.launch.pool import open_pool
from imageclf.system.errors import Failure, Pruned, RankError, RunError
from imageclf.system.processes import held_port
from imageclf.training.door import run

# Seconds for the other ranks to end once one has ended because of a signal.
_GRACE = 60.0


def run_ranks(run_dir: Path, num_ranks: int) -> None:
    """Train a run directory on several ranks; the first to fail ends the others.

    Raises:
        InputError: a rank found a mistake in the input.
        Preempted: the ranks ended because of a signal; this process forwards its own to them.
        Pruned: the search that the run belongs to ended it.
        KeyboardInterrupt: Ctrl-C; only the first one lets the ranks save.
        RunError: a rank cannot go on, and the cause is known.
        RankError: a rank failed otherwise or was killed.
    """
    train = partial(run, run_dir)
    with held_port() as held, open_pool() as ranks:
        for rank in range(num_ranks):
            ranks.start(rank, train, **_environment(rank, num_ranks, held.getsockname()[1]))
        while ranks.running:
            failures = {rank: each for rank, each in ranks.wait().items() if isinstance(each, Failure)}
            if failures:
                rank = first_cause(failures)
                if failures[rank].status in ("preempted", "interrupted", "pruned"):
                    # Its checkpoint is saved; a rank that still trains will be killed.
                    ranks.join(_GRACE)
                raise _error(rank, failures[rank])


def first_cause(failures: Mapping[int, Failure]) -> int:
    """Return the first rank that did not fail because another one had ended, or else the first.

    Where this process is slow, it hears of both at once.
    """
    # A rank that was killed itself has no traceback.
    lost = {rank for rank, each in failures.items() if each.status == "killed" and each.traceback}
    return min(failures.keys() - lost or failures)


def _environment(rank: int, num_ranks: int, port: int) -> dict[str, str]:
    """Return the variables that torch.distributed and Lightning read."""
    return {
        "LOCAL_RANK": str(rank),
        "NODE_RANK": "0",
        "RANK": str(rank),
        "WORLD_SIZE": str(num_ranks),
        "LOCAL_WORLD_SIZE": str(num_ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }


def _error(rank: int, failure: Failure) -> BaseException:
    if failure.status == "input":
        return InputError(failure.cause)
    if failure.status == "preempted":
        return Preempted(failure.cause)
    if failure.status == "pruned":
        return Pruned(failure.cause)
    if failure.status == "interrupted":
        return KeyboardInterrupt(failure.cause)
    if failure.status == "failed" and not failure.traceback:
        return RunError(f"rank {rank}: {failure.cause}")
    return RankError(rank, failure)
