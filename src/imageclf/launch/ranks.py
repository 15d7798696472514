"""Several ranks on one machine: processes of a fork server that has torch and lightning loaded already."""

import os
import signal
import socket
import sys
import time
import traceback
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from imageclf import InputError, Preempted
from imageclf.system.errors import PREEMPTED, RankError, RankKilledError
from imageclf.system.processes import (
    Child,
    Surroundings,
    enter,
    fork_server,
    last_message,
    surroundings,
    wait_for_ends,
)
from imageclf.system.signals import forwarded, ignore
from imageclf.training.door import run

# Seconds for the other ranks to finish once one has ended because of a signal.
_LAST_WORDS = 60.0


def run_ranks(run_dir: Path, num_ranks: int) -> None:
    """Train a run directory on several ranks; the first to fail ends the others.

    Args:
        run_dir: holds config.yaml; it is all that a rank is given.
        num_ranks: number of processes.

    Raises:
        InputError: a rank found a mistake in the input.
        Preempted: the ranks ended because of a signal; those that reach this process are handed on.
        RankError: a rank failed or was killed.
    """
    context = fork_server()
    port, given = _free_port(), surroundings()
    ranks: list[Child] = []
    try:
        with forwarded(lambda: [process.pid for process, _ in ranks if process.pid]):
            for rank in range(num_ranks):
                receiver, sender = context.Pipe(duplex=False)
                process = context.Process(target=_rank, args=(run_dir, rank, num_ranks, port, sender, given))
                process.start()
                sender.close()
                ranks.append((process, receiver))
            _wait_for_all(ranks)
    finally:
        for process, _ in ranks:
            process.kill()
            process.join()


def _wait_for_all(ranks: list[Child]) -> None:
    running = dict(enumerate(ranks))
    while running:
        for rank in wait_for_ends(running):
            child = running.pop(rank)
            message, exitcode = last_message(child), child[0].exitcode
            if exitcode == PREEMPTED:
                _let_end([other for other, _ in ranks])
            if exitcode != 0:
                raise _error(rank, exitcode, message)


def _let_end(processes: list[ForkServerProcess]) -> None:
    """Wait for ranks whose checkpoint is saved; one that still trains is beyond help."""
    deadline = time.monotonic() + _LAST_WORDS
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))


def _error(rank: int, exitcode: int | None, message: tuple[type[BaseException], str] | None) -> BaseException:
    """Return the error of a failed rank; one that was killed has sent no message."""
    if message is None:
        if exitcode and exitcode < 0:
            name = signal.Signals(-exitcode).name
            return RankKilledError(f"rank {rank} ended by {name}; was it out of memory?")
        return RankError(f"rank {rank} ended with code {exitcode}; was it out of memory?")
    kind, text = message
    return kind(text) if kind in (InputError, Preempted) else RankError(f"rank {rank} failed:\n{text}")


def _rank(
    run_dir: Path, rank: int, num_ranks: int, port: int, sender: Connection, given: Surroundings
) -> None:
    """Go through the one door as one of several ranks."""
    # Ctrl-C reaches the whole process group; the parent decides.
    ignore((signal.SIGINT,))
    enter(given)
    os.environ |= {
        "LOCAL_RANK": str(rank),
        "NODE_RANK": "0",
        "RANK": str(rank),
        "WORLD_SIZE": str(num_ranks),
        "LOCAL_WORLD_SIZE": str(num_ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    try:
        run(run_dir, interruptible=False)
    except (InputError, Preempted) as error:
        sender.send((type(error), str(error)))
        sys.exit(PREEMPTED if isinstance(error, Preempted) else 1)
    except BaseException:
        sender.send((RankError, traceback.format_exc()))
        sys.exit(2)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
