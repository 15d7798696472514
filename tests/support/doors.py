"""The door that trains, in processes of a fork server: each starts in a fraction of a second."""

import os
import signal
import sys
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from fork_server import FORK_SERVER, as_from_a_shell

from imageclf import worker
from imageclf.configs import run_main


def start_door(run_dir: Path, **environment: str) -> ForkServerProcess:
    """Start `python -m imageclf.worker RUN_DIR` in its own process group."""
    process = FORK_SERVER.Process(target=_door, args=(run_dir, environment))
    process.start()
    return process


def through_door(run_dir: Path, **environment: str) -> int:
    """Go through the door to the end, and return the exit code, -N for a signal."""
    process = start_door(run_dir, **environment)
    process.join(120)
    if process.exitcode is None:
        os.killpg(process.pid, signal.SIGKILL)
        raise AssertionError("the run never ended")
    return process.exitcode


def _door(run_dir: Path, environment: dict[str, str]) -> None:
    os.setsid()
    as_from_a_shell()
    os.environ |= environment
    sys.argv = ["worker", str(run_dir), "trust=all"]
    run_main(worker.job)
