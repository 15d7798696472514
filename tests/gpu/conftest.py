"""Commands on the CPU and on the GPU that the other tests do not see."""

import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

Done = "subprocess.CompletedProcess[str]"


def with_gpu() -> dict[str, str]:
    """Return the environment that the tests were started in."""
    given = os.environ["IMAGECLF_TEST_GPUS"]
    environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    return environment if given == "all" else environment | {"CUDA_VISIBLE_DEVICES": given}


@cache
def has_gpu() -> bool:
    """Ask torch in a process that may see a GPU: this one may not."""
    ask = [sys.executable, "-c", "import torch; print(torch.cuda.is_available())"]
    answer = subprocess.run(ask, env=with_gpu(), capture_output=True, text=True, check=True)
    return answer.stdout.strip() == "True"


@pytest.fixture(scope="session")
def call() -> Callable[..., Done]:
    """Return a function that runs Python in a folder, in a process that sees the GPU, or sees none."""

    def run(folder: Path, *arguments: str, gpu: bool) -> Done:
        if gpu and not has_gpu():
            pytest.skip("needs a CUDA GPU")
        environment = with_gpu() if gpu else dict(os.environ)
        probes = [str(Path(__file__).parents[1] / "support"), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, probes))
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def train(call: Callable[..., Done], tiny: list[str]) -> Callable[..., Done]:
    """Return a function that trains the lesson's phases on a device, into a run directory."""
    short = ["schedule=lesson2", "schedule.phases.finetune.size=32", "schedule.phases.bigger.size=48"]
    short += ["schedule.phases.augment.n_cycles=1", "schedule.phases.finetune.n_cycles=1"]
    short += ["schedule.phases.head.lr=auto", "callbacks.lr_finder.num_steps=4"]

    def run(run_dir: Path, device: str, precision: str, *overrides: str) -> Done:
        trainer = [f"trainer={device}", f"trainer.precision={precision}"]
        typed = [*tiny, *short, *trainer, f"hydra.run.dir={run_dir}", *overrides]
        return call(run_dir.parent, "-m", "imageclf.train", *typed, gpu=device == "gpu")

    return run
