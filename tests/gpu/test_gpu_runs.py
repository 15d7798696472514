"""Runs on a CUDA GPU, from their start to the files made of them; the CPU shows that the tests are right."""

import json
import math
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

Call = Callable[..., "subprocess.CompletedProcess[str]"]

PROBE = "+callbacks.probe={{_target_: gpu_probes.{}}}"


class Run(NamedTuple):
    """A finished run."""

    directory: Path
    device: str


def on(device: str, precision: str) -> object:
    """Return a case. Those on the CPU, where much else is tested, are left to the long tests."""
    mark = pytest.mark.gpu if device == "gpu" else pytest.mark.long
    return pytest.param((device, precision), marks=mark, id=f"{device}, {precision}")


@pytest.fixture(
    scope="module",
    params=[
        on("cpu", "32-true"),
        on("cpu", "bf16-mixed"),
        on("gpu", "32-true"),
        on("gpu", "bf16-mixed"),
        on("gpu", "16-mixed"),
    ],
)
def run(request: pytest.FixtureRequest, train: Call, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of all phases of the lesson, on a device and in a precision."""
    device, precision = request.param
    run_dir = tmp_path_factory.mktemp("run") / "run"
    done = train(run_dir, device, precision, PROBE.format("Devices"))
    assert done.returncode == 0, done.stderr
    return Run(run_dir, device)


def test_it_ends_with_every_score(run: Run) -> None:
    summary = json.loads((run.directory / "summary.json").read_text())
    for score in (
        "val/acc",
        "val/loss",
        "val/acc_tta",
        "val/acc_average",
        "val/acc_ensemble",
        "val/acc_best",
    ):
        assert math.isfinite(summary[score]), score


def test_every_batch_is_trained_on_the_device(run: Run) -> None:
    lines = (run.directory / "devices").read_text().splitlines()
    assert len(lines) > 10
    assert set(lines) == {"cuda cuda" if run.device == "gpu" else "cpu cpu"}


def test_its_report_is_written(run: Run) -> None:
    assert (run.directory / "report.html").stat().st_size > 10_000


def test_its_snapshots_are_in_single_precision(run: Run) -> None:
    weights = torch.load(run.directory / "snapshots/final.ckpt", weights_only=True)["state_dict"]
    assert {tensor.dtype for tensor in weights.values() if tensor.is_floating_point()} == {torch.float32}


def test_a_cpu_predicts_with_it(run: Run, call: Call, dataset: Path, tmp_path: Path) -> None:
    words = [f"run={run.directory}", f"data={dataset}/valid", "output=new.csv"]
    done = call(tmp_path, "-m", "imageclf.predict", *words, gpu=False)
    assert done.returncode == 0, done.stderr
    predicted = pd.read_csv(tmp_path / "new.csv")
    assert len(predicted) == 12
    assert predicted[["blue", "green", "red"]].sum(axis=1).to_numpy() == pytest.approx(1.0, abs=1e-4)


def test_a_cpu_exports_it(run: Run, call: Call, tmp_path: Path) -> None:
    words = [f"run={run.directory}", "format=timm", "output=out"]
    done = call(tmp_path, "-m", "imageclf.export", *words, gpu=False)
    assert done.returncode == 0, done.stderr
    weights = load_file(tmp_path / "out/model.safetensors")
    assert len(weights) > 10
    assert all(tensor.isfinite().all() for tensor in weights.values())


@pytest.mark.long
@pytest.mark.parametrize("where", [on("cpu", "32-true"), on("gpu", "32-true"), on("gpu", "bf16-mixed")])
def test_killed_and_resumed_a_deterministic_run_is_bit_for_bit_the_undisturbed_one(
    where: tuple[str, str], train: Call, tmp_path: Path
) -> None:
    same = ["trainer.deterministic=true", "callbacks.checkpoint.every_n_batches=1", "ckpt_path=auto"]
    undisturbed = train(tmp_path / "undisturbed", *where, *same)
    assert undisturbed.returncode == 0, undisturbed.stderr
    kill = "+callbacks.probe={_target_: gpu_probes.KillOnce, epoch: 2, batch: 1}"
    killed, resumed = (train(tmp_path / "killed", *where, *same, kill) for _ in range(2))
    assert (killed.returncode, resumed.returncode) == (-signal.SIGKILL, 0), resumed.stderr
    runs = [tmp_path / name for name in ("undisturbed", "killed")]
    one, two = (torch.load(each / "snapshots/final.ckpt", weights_only=True)["state_dict"] for each in runs)
    assert [name for name in one if not torch.equal(one[name], two[name])] == []
    tables = [(each / "predictions/valid.csv").read_text() for each in runs]
    assert tables[0] == tables[1]


def test_a_test_without_the_mark_sees_no_gpu() -> None:
    assert torch.cuda.device_count() == 0


@pytest.mark.gpu
def test_on_the_cpu_of_a_machine_with_a_gpu_no_context_is_made(
    call: Call, tiny: list[str], tmp_path: Path
) -> None:
    words = [*tiny, "data.num_workers=1", PROBE.format("CudaContexts"), f"hydra.run.dir={tmp_path}/run"]
    done = call(tmp_path, "-m", "imageclf.train", *words, gpu=True)
    assert done.returncode == 0, done.stderr
    contexts = json.loads((tmp_path / "run/contexts").read_text())
    assert contexts and not any(contexts)


@pytest.mark.long
@pytest.mark.parametrize("device", [pytest.param("gpu", marks=pytest.mark.gpu), "cpu"])
def test_batches_are_pinned_where_a_gpu_gets_them(call: Call, tmp_path: Path, device: str) -> None:
    script = Path(__file__).parents[1] / "support" / "pinned.py"
    done = call(tmp_path, str(script), str(tmp_path), gpu=device == "gpu")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [device == "gpu"] * 4
