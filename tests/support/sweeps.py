"""Real sweeps: from this process, whose fork server stays warm, or from one that is to be killed."""

import logging
import os
import re
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra

from imageclf.configs import ending, paths
from imageclf.train import main

PROBES = Path(__file__).parents[1] / "support"
FAST = ["~callbacks.report", "~callbacks.tta"]
FAULT = "+callbacks.fault={_target_: probes.Fault, kind: none}"


def train(folder: Path, *arguments: str) -> tuple[int, str]:
    """Call `imageclf-train` in a folder; return its exit code and what it says of mistakes."""
    root, said = logging.getLogger(), StringIO()
    handlers, level = root.handlers[:], root.level
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(said), redirect_stdout(StringIO()):
        patch.chdir(folder)
        patch.syspath_prepend(str(PROBES))
        patch.setattr(sys, "argv", ["imageclf-train", *arguments])
        patch.setattr(ending, "_failures", [])
        paths.run_id.cache_clear()
        GlobalHydra.instance().clear()
        with pytest.raises(SystemExit) as leaving:
            main()
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    sentences = [line for line in said.getvalue().splitlines() if line.startswith("imageclf: ")]
    return int(leaving.value.code or 0), "\n".join(sentences)


def begin(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    """Start `python -m imageclf.train` in a folder, in a session of its own."""
    path = os.pathsep.join([str(PROBES), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-m", "imageclf.train", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(condition: "object", seconds: float = 120) -> None:
    """Wait until a function returns something true."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


def living(session: int) -> list[int]:
    """Return the processes of a session that still run."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            _, state, _, _, its_session = re.sub(r"^.*\)", ")", stat.read_text()).split()[:5]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(its_session) == session and state != "Z":
            found.append(int(stat.parent.name))
    return found
