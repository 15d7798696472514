"""Processes of a fork server that has torch and lightning loaded: they start in a tenth of a second."""

import multiprocessing
import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext

from imageclf.system.signals import blocked

_SAFE_PATH = "PYTHONSAFEPATH"
_PRELOADED = ["imageclf.launch.preloaded"]


def fork_server() -> ForkServerContext:
    """Start the fork server if it does not run yet, and return the context that forks from it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    start_tracker()
    # The server inherits the blocked signals. One that is sent to the whole process group must not end it:
    # its children would seem to have ended too. They unblock the signals once they can handle them.
    with blocked(), _without_current_folder():
        forkserver.ensure_running()
    return context


def start_tracker() -> None:
    """Start the process that cleans up after others, if it does not run yet.

    Of itself it would start with the first lock or the fork server: it unblocks Ctrl-C and SIGTERM in the
    process that starts it, and would look for Python's modules in the current folder first.
    """
    with _without_current_folder():
        resource_tracker.ensure_running()


@contextmanager
def _without_current_folder() -> Iterator[None]:
    """Start Python processes without the current folder on their path: a stranger's files may lie there."""
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_SAFE_PATH]
        else:
            os.environ[_SAFE_PATH] = before


def prepare_child(environment: Mapping[str, str], folder: str) -> None:
    """Set up a new process of the fork server, which has the environment of the server's own start.

    It gets the given variables and working folder. The preempting signals of `imageclf.system.signals` stay
    blocked until the process unblocks them.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT,))
    end_with_parent()
    # Else data workers would come from a second fork server: slower to start, and without shared memory.
    multiprocessing.set_start_method(multiprocessing.get_all_start_methods()[0], force=True)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    # OpenMP read its variable when the fork server loaded it.
    threads = environment.get("OMP_NUM_THREADS", "").partition(",")[0]
    if threads.isdigit():
        import torch

        torch.set_num_threads(int(threads))


def held_port() -> socket.socket:
    """Return a socket whose port the system gives to nobody else while it is open.

    Who knows the port can listen on it all the same, as torch does when all ranks have come.
    """
    held = socket.socket()
    # Without it this socket would be in torch's way.
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("", 0))
    return held


def end_with_parent() -> None:
    """End this process when its parent ends, even if that is killed: a thread waits for it."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch(sentinel: int) -> None:
        """Wait for the parent to end."""
        wait([sentinel])
        # sys.exit would end this thread alone.
        os._exit(2)

    threading.Thread(target=watch, args=(parent.sentinel,), daemon=True).start()
