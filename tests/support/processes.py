"""The processes of this machine as /proc lists them, and waiting for conditions."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def wait_until(condition: Callable[[], bool], complaint: str, seconds: float) -> None:
    """Wait for a condition, polled five times a second."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, complaint
        time.sleep(0.2)


def processes_of(node_log: Path) -> list[int]:
    """Return the daemons of a node, those of its steps among them: they hold its log open."""
    return [pid for pid in processes() if node_log in open_files(pid)]


def processes_with(variable: str) -> list[int]:
    """Return the processes whose environment has NAME=VALUE."""
    return [pid for pid in processes() if variable in environment_of(pid)]


def processes() -> list[int]:
    """Return the ids of all processes but this one."""
    found = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in found if pid != os.getpid()]


def environment_of(pid: int) -> list[str]:
    """Return a process's environment as it was started with; nothing of one that has ended."""
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def open_files(pid: int) -> list[Path]:
    """Return the files that a process holds open; none of one that has ended."""
    try:
        return [descriptor.readlink() for descriptor in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return []


def kill(pid: int) -> None:
    """Kill a process, if it is still there."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
