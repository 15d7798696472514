"""Commands as from a shell, but forked from a process that has the libraries loaded.

A fresh interpreter spends most of a small training's time on importing torch, timm and lightning. The process
has not imported imageclf: each command takes it from where its own PYTHONPATH says.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

# What imageclf-train imports of others, as far as it is slow.
LIBRARIES = (
    *("torch", "torchvision", "timm", "lightning.pytorch", "torchmetrics", "torch._dynamo"),
    *("pandas", "scipy.signal", "sklearn.metrics", "matplotlib.pyplot", "hydra", "rich.live"),
)


class WarmProcess:
    """A console script that runs, as `subprocess.Popen` has it.

    Args:
        warm: started it, and knows whether it has ended.
        pid: of the process, which leads a session of its own.
        scratch: holds what it prints.
    """

    def __init__(self, warm: "WarmStart", pid: int, scratch: "TemporaryDirectory[str]") -> None:
        self._warm, self.pid, self._scratch = warm, pid, scratch
        self.returncode: int | None = None

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float = 300) -> tuple[str, str]:
        """Wait for its end, and return what it has printed: (stdout, stderr)."""
        deadline = time.monotonic() + timeout
        while self.returncode is None:
            assert time.monotonic() < deadline, "it never ended"
            self.returncode = self._warm.ask(self.pid)
            time.sleep(0 if self.returncode is not None else 0.05)
        with self._scratch as folder:
            out, err = (Path(folder, name).read_text("utf-8") for name in ("stdout", "stderr"))
        return out, err


class WarmStart:
    """Runs console scripts in forks of one process."""

    def __init__(self) -> None:
        command = [sys.executable, __file__, *LIBRARIES]
        self.server = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    def run(
        self, words: list[str], folder: Path, environment: Mapping[str, str], scratch: Path
    ) -> "subprocess.CompletedProcess[str]":
        """Run a script of Python with its arguments in a folder, to its end."""
        out, err = (scratch / name for name in ("stdout", "stderr"))
        pid = self.ask([False, words, str(folder), dict(environment), str(out), str(err)])
        code = self.ask(-pid)
        return subprocess.CompletedProcess(words, code, out.read_text("utf-8"), err.read_text("utf-8"))

    def begin(self, folder: Path, *arguments: str, main: str = "imageclf-train") -> WarmProcess:
        """Start a command in a folder, in a session of its own; it finds the probes of the tests."""
        scratch = TemporaryDirectory()
        words = [str(Path(sys.executable).with_name(main)), *arguments]
        path = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
        outputs = [str(Path(scratch.name, name)) for name in ("stdout", "stderr")]
        pid = self.ask([True, words, str(folder), os.environ | {"PYTHONPATH": path}, *outputs])
        return WarmProcess(self, pid, scratch)

    def ask(self, request: object) -> Any:
        """Return the server's answer, see `serve`."""
        assert self.server.stdin and self.server.stdout
        print(json.dumps(request), file=self.server.stdin)
        return json.loads(self.server.stdout.readline())

    def command(self, name: str, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run imageclf-NAME in a folder, to its end."""
        return self.script(Path(sys.executable).with_name(f"imageclf-{name}"), folder, *arguments)

    def script(self, path: Path, folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a script in a folder, to its end."""
        with TemporaryDirectory() as scratch:
            return self.run([str(path), *arguments], folder, os.environ, Path(scratch))

    def close(self) -> None:
        """End the process."""
        self.server.communicate()


@pytest.fixture(scope="session")
def warm_start() -> Iterator[WarmStart]:
    """Return what runs console scripts without loading the libraries anew."""
    warm = WarmStart()
    yield warm
    warm.close()


def serve() -> list[str]:
    """Answer each request; return the words of the command in each fork.

    A command is answered with its process's id; an id with its exit code, or null where it runs; and the
    negative of an id with its exit code, once it has ended.
    """
    for line in sys.stdin:
        request = json.loads(line)
        if isinstance(request, int):
            ended, status = os.waitpid(abs(request), os.WNOHANG if request > 0 else 0)
            print(json.dumps(os.waitstatus_to_exitcode(status) if ended else None), flush=True)
        elif child := os.fork():
            print(child, flush=True)
        else:
            return become(*request)
    raise SystemExit


def become(
    alone: bool, words: list[str], folder: str, environment: dict[str, str], *outputs: str
) -> list[str]:
    """Make this process what a shell starts, in a session of its own if asked to; return the words."""
    if alone:
        os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    files = [os.open("/dev/null", os.O_RDONLY)]
    files += [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) for path in outputs]
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    return words


if __name__ == "__main__":
    import gc
    import runpy
    from importlib import import_module

    gc.disable()
    for name in sys.argv[1:]:
        import_module(name)
    gc.freeze()
    gc.enable()
    sys.argv = serve()
    # As the interpreter sets it up for a script; ours is the first entry now.
    given = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    sys.path[:1] = [str(Path(sys.argv[0]).parent), *given]
    runpy.run_path(sys.argv[0], run_name="__main__")
