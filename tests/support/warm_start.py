"""Commands as from a shell, but forked from a process that has the libraries loaded.

A fresh interpreter spends most of a small training's time on importing torch, timm and lightning. The process
has not imported imageclf: each command takes it from where its own PYTHONPATH says.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

# What imageclf-train imports of others, as far as it is slow.
LIBRARIES = (
    *("torch", "torchvision", "timm", "lightning.pytorch", "torchmetrics", "torch._dynamo"),
    *("pandas", "scipy.signal", "sklearn.metrics", "matplotlib.pyplot", "hydra", "rich.live"),
)


class WarmStart:
    """Runs console scripts, one at a time, in forks of one process."""

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
        request = [words, str(folder), dict(environment), str(out), str(err)]
        assert self.server.stdin and self.server.stdout
        print(json.dumps(request), file=self.server.stdin)
        code = int(self.server.stdout.readline())
        return subprocess.CompletedProcess(words, code, out.read_text("utf-8"), err.read_text("utf-8"))

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
    """Answer each request with an exit code; return the words of the command in each fork."""
    for line in sys.stdin:
        words, folder, environment, *outputs = json.loads(line)
        if child := os.fork():
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
            continue
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        files = [os.open("/dev/null", os.O_RDONLY)]
        files += [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) for path in outputs]
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)
        return words
    raise SystemExit


if __name__ == "__main__":
    import gc
    import runpy
    from importlib import import_module

    for name in sys.argv[1:]:
        import_module(name)
    gc.freeze()
    sys.argv = serve()
    # As the interpreter sets it up for a script; ours is the first entry now.
    given = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    sys.path[:1] = [str(Path(sys.argv[0]).parent), *given]
    runpy.run_path(sys.argv[0], run_name="__main__")
