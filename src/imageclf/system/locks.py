"""A lock on the run directory: only one job at a time may use it."""

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
    """Return the seconds to wait for the lock.

    The process from before a requeue may still hold it. NFSv4 frees a dead node's locks after 90 seconds; a
    killed process frees its own at once.
    """
    return 120.0 if restarted(environment) else 3.0


@contextmanager
def locked(run_dir: Path, is_first_rank: bool = True, wait: float | None = None) -> Iterator[None]:
    """Lock a run directory against other jobs, until the block or the process ends.

    It is a POSIX lock: the kernel frees it however the process ends, forked data workers do not inherit it,
    and it works over NFS. The first rank locks for all of them. `wait` is in seconds; None: as
    `patience` says.

    Raises:
        InputError: another process still holds it.
    """
    if not is_first_rank:
        yield
        return
    # Open for reading too, for the name of the process that holds it.
    with (run_dir / FILE).open("a+", encoding="utf-8") as file:
        _lock(file, run_dir, patience(os.environ) if wait is None else wait)
        file.truncate(0)
        job = job_id(os.environ)
        file.write(f"process {os.getpid()} on {socket.gethostname()}" + (f" (job {job})" if job else ""))
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
    """Try to lock a file, and return whether it worked; a file system without locks counts as locked."""
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        log.warning("%s cannot be locked (%s): nothing keeps a second job out of it", file.name, error)
    return True
