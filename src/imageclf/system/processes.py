"""Processes of a fork server that has torch and lightning loaded: they start in a tenth of a second."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from imageclf.system.signals import PREEMPTING, blocked

PRELOADED = ["imageclf.worker", "imageclf.launch.start", "hydra.main"]


Name = TypeVar("Name", int, str)
Child = tuple[ForkServerProcess, Connection]


class Surroundings(NamedTuple):
    """What a process does not inherit from its parent: the fork server has them as of its own start.

    Args:
        environment: all variables.
        folder: the working directory.
    """

    environment: dict[str, str]
    folder: str


def surroundings(**changes: str) -> Surroundings:
    """Return those of this process, with some variables changed."""
    return Surroundings({**os.environ, **changes}, str(Path.cwd()))


def fork_server() -> ForkServerContext:
    """Return the context whose processes fork from the server, which begins to load at once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    # Started by itself, as it lets Ctrl-C and SIGTERM through to whoever asks for it.
    resource_tracker.ensure_running()
    # The server inherits the mask. A signal to all processes of a job must not end it: its children would
    # seem to have ended with it, and go on. They let signals through again when they can answer them.
    with blocked((signal.SIGINT, *PREEMPTING)):
        forkserver.ensure_running()
    return context


def enter(given: Surroundings) -> None:
    """Take over the parent's surroundings, first thing in a process of the fork server.

    SIGTERM, SIGUSR1 and SIGUSR2 wait until the process lets them through: see `imageclf.system.signals`.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))
    end_with_parent()
    # Else data workers come from a fork server of this process's own: later, and without shared slots.
    multiprocessing.set_start_method(multiprocessing.get_all_start_methods()[0], force=True)
    os.environ.clear()
    os.environ.update(given.environment)
    os.chdir(given.folder)
    # OpenMP has read its variable when the fork server loaded it.
    threads = given.environment.get("OMP_NUM_THREADS", "").partition(",")[0]
    if threads.isdigit():
        import torch

        torch.set_num_threads(int(threads))


def wait_for_ends(children: Mapping[Name, Child]) -> list[Name]:
    """Wait until processes end or send their last message, and return their names."""
    owners: dict[Any, Name] = {}
    for name, (process, receiver) in children.items():
        owners |= {process.sentinel: name, receiver: name}
    return sorted({owners[each] for each in wait(list(owners))})


def last_message(child: Child) -> Any:
    """Return the one message of a process, None if it sent none, and join the process.

    In this order: a pipe holds 64 KB, and a process with more to send does not end before it is read.
    """
    process, receiver = child
    try:
        # Of a process that was killed, data workers may still hold the other end open.
        message = receiver.recv() if receiver.poll() else None
    except EOFError:
        message = None
    process.join()
    return message


def end_with_parent() -> None:
    """End this process when the parent ends, however it ends, by a thread that waits for that."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch(sentinel: int) -> None:
        """Wait for the parent's end."""
        wait([sentinel])
        os._exit(2)

    threading.Thread(target=watch, args=(parent.sentinel,), daemon=True).start()
