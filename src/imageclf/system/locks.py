"""A run directory is held by one job at a time."""

import fcntl
import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from imageclf import InputError
from imageclf.system.world import Environment, job_id, restarted

log = logging.getLogger(__name__)

FILE = ".lock"


def patience(environment: Environment) -> float:
    """Return the seconds to wait for another holder before refusing.

    A requeued job may meet its own former self. NFSv4 frees a dead node's locks after a lease of 90
    seconds; a process that is killed frees its own at once.
    """
    return 120.0 if restarted(environment) else 3.0


@contextmanager
def held(run_dir: Path, is_first_rank: bool = True, wait: float | None = None) -> Iterator[None]:
    """Hold a run directory against other jobs, for as long as the block or the process lives.

    The lock is POSIX's: the kernel frees it however the process ends, forked data workers do not
    inherit it, and NFS carries it to other nodes.

    Args:
        run_dir: of the run.
        is_first_rank: the others are covered by the first one's hold.
        wait: seconds to wait for another holder; None: as `patience` says.

    Raises:
        InputError: another process still holds it.
    """
    if not is_first_rank:
        yield
        return
    # Open for reading too: only so can the holder's name be read.
    with (run_dir / FILE).open("a+", encoding="utf-8") as file:
        _lock(file, run_dir, patience(os.environ) if wait is None else wait)
        file.truncate(0)
        file.write(_name())
        file.flush()
        yield


def _lock(file: IO[str], run_dir: Path, wait: float) -> None:
    deadline = time.monotonic() + wait
    while not _try(file):
        if time.monotonic() > deadline:
            file.seek(0)
            raise InputError(
                f"{run_dir} is held by {file.read() or 'another process'}: wait for its end or end it, "
                "or choose another hydra.run.dir"
            )
        time.sleep(0.1)


def _try(file: IO[str]) -> bool:
    """Return whether the lock is taken; where the file system has no locks, take it as taken."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        log.warning("%s cannot be locked (%s): nothing keeps a second job out of it", file.name, error)
    return True


def _name() -> str:
    job = job_id(os.environ)
    return f"process {os.getpid()} on {socket.gethostname()}" + (f" (job {job})" if job else "")
