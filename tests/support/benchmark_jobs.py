"""Jobs that end in all the ways that a job can."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from gpu_jobs import Setting, SkippedError

Rows = Iterator[tuple[str, dict[str, Any]]]


def well(setting: Setting, number: int) -> Rows:
    """Say two things."""
    yield "first", {"number": number}
    yield "second", {"quick": setting.quick}


def raises(setting: Setting) -> Rows:
    """Fail after a row."""
    yield "before", {"number": 1}
    print("said last")
    raise ValueError("the first line\n  in between\nthe last line")


def killed(setting: Setting) -> Rows:
    """End as where memory runs out."""
    yield "before", {"number": 1}
    os.kill(os.getpid(), signal.SIGKILL)


def lacks(setting: Setting) -> Rows:
    """Find that the machine has not what it takes."""
    raise SkippedError("there is no such thing here")
    yield "never", {}


def leaves(setting: Setting) -> Rows:
    """End as a command does that fails."""
    sys.exit(2)
    yield "never", {}


def hangs(setting: Setting) -> Rows:
    """Wait for ever, for a process that does so too."""
    child = subprocess.Popen(["sleep", "1000"])
    yield "child", {"pid": child.pid}
    child.wait()
