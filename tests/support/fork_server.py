"""A fork server that has torch and lightning loaded: its processes start in a fraction of a second."""

import multiprocessing
import signal

FORK_SERVER = multiprocessing.get_context("forkserver")
FORK_SERVER.set_forkserver_preload(["imageclf.launch.preloaded"])


def as_from_a_shell() -> None:
    """Let a process of the fork server be as one that a shell starts; called first thing in it.

    The server inherits the signal mask of the test that happened to start it, and imageclf starts it with
    the signals that end a run blocked. Data workers are forked, not processes of the server.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    multiprocessing.set_start_method("fork", force=True)
