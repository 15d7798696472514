"""The wheel, built and installed once a session into a folder of its own, as a user has it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from warm_start import WarmStart

ROOT = Path(__file__).parents[2]
_PIP = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]

Call = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel with what is installed, without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    offline = ["--no-deps", "--no-build-isolation", "--no-index", f"--wheel-dir={folder}"]
    done = subprocess.run([*_PIP, "wheel", str(ROOT), *offline], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("imageclf-*.whl")
    return built


@pytest.fixture(scope="session")
def target(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel alone into a folder of its own."""
    folder = tmp_path_factory.mktemp("target")
    command = [*_PIP, "install", str(wheel), "--no-deps", "--no-index", f"--target={folder}"]
    subprocess.run(command, capture_output=True, check=True)
    return folder


@pytest.fixture(scope="session")
def installed(target: Path, warm_start: WarmStart, tmp_path_factory: pytest.TempPathFactory) -> Call:
    """Return a function that runs an installed command, such as imageclf-train, in a folder."""
    environment = os.environ | {"PYTHONPATH": str(target)}
    scratch = tmp_path_factory.mktemp("outputs")

    def run(
        name: str, *arguments: str, folder: Path, fresh: bool = False
    ) -> "subprocess.CompletedProcess[str]":
        """Run it as from a shell: unlike `python -m` a script does not put the current folder on the path.

        `fresh`: in an interpreter of its own, which imports the libraries itself.
        """
        words = [str(target / "bin" / name), *arguments]
        if not fresh:
            return warm_start.run(words, folder, environment, scratch)
        command = [sys.executable, *words]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False
        )

    return run
