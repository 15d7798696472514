"""Views made on a CUDA GPU have the bits of those made on the CPU, and nobody waits for them."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

Call = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.long
@pytest.mark.parametrize("device", [pytest.param("cuda", marks=pytest.mark.gpu), "cpu"])
def test_views_are_those_of_the_cpu_bit_for_bit_and_without_a_host_sync(
    call: Call, tmp_path: Path, device: str
) -> None:
    script = Path(__file__).parents[1] / "support" / "device_views.py"
    done = call(tmp_path, str(script), device, str(tmp_path), gpu=device == "cuda")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("device") == device
    # On the CPU the kernel is run by Triton's interpreter, in tests/data.
    assert found.pop("kernel") is found.pop("pinned") is (device == "cuda")
    assert len(found) == 4 and all(found.values()), found


@pytest.mark.gpu
def test_a_run_with_pictures_on_the_gpu_scores_as_one_without(train: Call, tmp_path: Path) -> None:
    scores = []
    for how in ("auto", "off"):
        typed = [f"data.device_store={how}", "data.num_workers=0", "trainer.deterministic=true"]
        done = train(tmp_path / how, "gpu", "32-true", *typed)
        assert done.returncode == 0, done.stderr
        assert ("of pictures for 32 px on cuda:0" in (tmp_path / how / "train.log").read_text()) is (
            how == "auto"
        )
        scores.append(pd.read_csv(tmp_path / how / "metrics.csv")["val/loss"].tolist())
    # Views made on the GPU have the bits of the CPU's.
    assert scores[0] == scores[1]
