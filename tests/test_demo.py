"""The demo: real pictures, real weights, the whole lesson, also when it is killed in the middle."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch

pytestmark = pytest.mark.long

TRAIN = [str(Path(sys.executable).with_name("imageclf-train"))]
# The demo is what a user runs: with all the threads that the machine has. One that waits sleeps: by
# default it spins, and takes a core from the tests beside it, or from the thread that it waits for.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
ENVIRONMENT |= {"OMP_WAIT_POLICY": "PASSIVE"}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of `imageclf-train` without any argument."""
    folder = tmp_path_factory.mktemp("demo")
    run = subprocess.run(TRAIN, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return folder / run.stdout.splitlines()[-1]


def test_it_recognises_four_of_five_pictures_it_never_saw(demo: Path) -> None:
    assert json.loads((demo / "summary.json").read_text())["val/acc"] >= 0.80


@pytest.mark.parametrize("score", ["val/acc_tta", "val/acc_ensemble", "val/acc_average", "val/acc_best"])
def test_the_other_ways_to_predict_do_as_well(demo: Path, score: str) -> None:
    assert json.loads((demo / "summary.json").read_text())[score] >= 0.80


def test_it_goes_through_the_phases_of_the_lesson(demo: Path) -> None:
    phases = pd.read_csv(demo / "metrics.csv").phase
    assert list(dict.fromkeys(phases)) == ["head", "augment", "finetune", "bigger"]


def test_the_report_needs_no_network_and_holds_pictures(demo: Path) -> None:
    html = (demo / "report.html").read_text(encoding="utf-8")
    assert not re.findall(r"(?:src|href)=[\"']https?:", html)
    assert html.count("data:image/jpeg;base64,") >= 5


def test_killed_in_the_middle_of_an_epoch_it_ends_with_the_weights_of_the_undisturbed_demo(
    demo: Path, tmp_path: Path
) -> None:
    command = [
        *TRAIN,
        f"hydra.run.dir={tmp_path}",
        "ckpt_path=auto",
        "callbacks.checkpoint.every_n_batches=3",
    ]
    victim = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # Epoch 24 is in the phase that trains the whole network; batch 3 of 7 is saved.
    wait_for_position(tmp_path / "checkpoints/last.ckpt", [24, 3], victim)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert not (tmp_path / "summary.json").exists()
    again = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    one, other = (torch.load(run / "snapshots/final.ckpt", weights_only=True) for run in (demo, tmp_path))
    assert one["state_dict"].keys() == other["state_dict"].keys()
    assert all(torch.equal(one["state_dict"][name], other["state_dict"][name]) for name in one["state_dict"])


def wait_for_position(checkpoint: Path, position: list[int], process: "subprocess.Popen[bytes]") -> None:
    """Return as soon as a checkpoint is at a position; fail when the process ends before."""
    seen = 0
    while process.poll() is None:
        # Between two renames there is no last.ckpt for a moment.
        with contextlib.suppress(FileNotFoundError):
            changed = checkpoint.stat().st_mtime_ns
            if changed != seen and torch.load(checkpoint, weights_only=True)["position"] == position:
                return
            seen = changed
        time.sleep(0.005)
    raise AssertionError("the run ended before it could be killed")
