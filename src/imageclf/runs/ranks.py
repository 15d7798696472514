"""Several ranks on one machine: processes of a fork server that has torch and lightning loaded already."""

import multiprocessing
import os
import signal
import socket
import sys
import threading
import traceback
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from imageclf import InputError


class RankError(RuntimeError):
    """A rank failed; the message holds its traceback."""


def run_ranks(run_dir: Path, num_ranks: int) -> None:
    """Train a run directory on several ranks; the first to fail ends the others.

    Args:
        run_dir: holds config.yaml; it is all that a rank is given.
        num_ranks: number of processes.

    Raises:
        InputError: a rank found a mistake in the input.
        RankError: a rank failed or was killed.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["imageclf.worker"])
    port = _free_port()
    ranks: list[tuple[ForkServerProcess, Connection]] = []
    try:
        for rank in range(num_ranks):
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_rank, args=(run_dir, rank, num_ranks, port, sender))
            process.start()
            sender.close()
            ranks.append((process, receiver))
        _wait_for_all(ranks)
    finally:
        for process, _ in ranks:
            process.kill()
            process.join()


def _wait_for_all(ranks: list[tuple[ForkServerProcess, Connection]]) -> None:
    running = {process.sentinel: rank for rank, (process, _) in enumerate(ranks)}
    while running:
        for sentinel in wait(list(running)):
            rank = running.pop(sentinel)  # type: ignore[arg-type]
            process, receiver = ranks[rank]
            process.join()
            if process.exitcode != 0:
                raise _error(rank, process.exitcode, receiver)


def _error(rank: int, exitcode: int | None, receiver: Connection) -> Exception:
    """Return what a failed rank has to say; one that was killed says nothing."""
    try:
        is_mistake, text = receiver.recv()
    except EOFError:
        killed = (
            f"by {signal.Signals(-exitcode).name}" if exitcode and exitcode < 0 else f"with code {exitcode}"
        )
        return RankError(f"rank {rank} ended {killed}; was it out of memory?")
    return InputError(text) if is_mistake else RankError(f"rank {rank} failed:\n{text}")


def _rank(run_dir: Path, rank: int, num_ranks: int, port: int, sender: Connection) -> None:
    """Go through the one door as one of several ranks."""
    _end_with_parent()
    # Not the fork server's method, which it hands on: data workers would import torch anew, share no
    # slots, and outlive a rank that is killed, since their parent would be another fork server.
    multiprocessing.set_start_method(multiprocessing.get_all_start_methods()[0], force=True)
    os.environ |= {
        "LOCAL_RANK": str(rank),
        "NODE_RANK": "0",
        "RANK": str(rank),
        "WORLD_SIZE": str(num_ranks),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    # Ctrl-C reaches the whole process group; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from imageclf import worker

    try:
        worker.run(run_dir)
    except InputError as error:
        sender.send((True, str(error)))
        sys.exit(1)
    except BaseException:
        sender.send((False, traceback.format_exc()))
        sys.exit(2)


def _end_with_parent() -> None:
    """End this process when the parent ends, however it ends: the fork server would keep it alive."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch(sentinel: int) -> None:
        """Wait for the parent's end."""
        wait([sentinel])
        os._exit(2)

    threading.Thread(target=watch, args=(parent.sentinel,), daemon=True).start()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
