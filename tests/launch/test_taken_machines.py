"""What docs/cluster.md says of machines that are taken away: the same command again, on the same path."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster_runs import final_weights, train_here
from processes import wait_until

from imageclf.configs import to_plain
from imageclf.training.run_config import RunConfig, parse

PAGE = (Path(__file__).parents[2] / "docs/cluster.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```yaml\n(\w+: .*?)```", PAGE, re.DOTALL)
SKYPILOT, KUBEFLOW = map(yaml.safe_load, BLOCKS)
HOLD = "+callbacks.hold={_target_: cluster_probes.WaitForSignal, epoch: 1, batch: 1}"


def again(kept: Path, *more: str) -> "subprocess.Popen[str]":
    """Start what SkyPilot starts on every machine that it finds."""
    name, *words = shlex.split(SKYPILOT["run"].replace("/kept", str(kept)))
    support = str(Path(__file__).parents[1] / "support")
    return subprocess.Popen(
        [sys.executable, "-m", name.replace("-", "."), *words, *more],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, support])},
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.long
@pytest.mark.fault(
    "Kills, signals and disks",
    "A spot machine is taken away, and another one starts the command again",
    "It goes on bit for bit from the run directory on the common storage",
)
def test_a_spot_machine_that_is_taken_away_costs_nothing(
    pictures: Path, tiny: list[str], tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    shutil.copytree(pictures, kept / "pictures")
    small = [each for each in tiny if not each.startswith(("data=", "data.root="))] + ["~callbacks.report"]
    machine = again(kept, *small, HOLD)
    run_dir = kept / "runs/photos"
    wait_until((run_dir / "held").exists, "the run never began its second epoch", 120)
    machine.send_signal(signal.SIGTERM)
    _, said = machine.communicate(timeout=120)
    assert machine.returncode == 75, said
    other = again(kept, *small, HOLD)
    _, said = other.communicate(timeout=240)
    assert other.returncode == 0, said
    folder = ["data=folder", f"data.root={kept / 'pictures'}", "data.train=.", "data.valid=null"]
    undisturbed = train_here(tmp_path / "undisturbed", *folder, *small)
    assert final_weights(run_dir) == final_weights(undisturbed)


def test_the_train_job_of_kubeflow_gives_torchrun_a_legal_command(composed: Any) -> None:
    torchrun, flag, module, *overrides = KUBEFLOW["spec"]["trainer"]["command"]
    assert (torchrun, flag, module) == ("torchrun", "-m", "imageclf.train")
    typed = [each for each in overrides if not each.startswith(("data=", "hydra."))]
    config = parse(to_plain(composed("data=folder", "data.root=/kept/pictures", *typed)), RunConfig)
    assert config.data.loading.global_batch_size == 64
    assert (config.ckpt_path, config.trainer["strategy"]) == ("auto", "ddp")


def test_both_systems_keep_the_run_where_the_pictures_are() -> None:
    (mount,) = SKYPILOT["file_mounts"]
    container = KUBEFLOW["spec"]["podTemplateOverrides"][0]["spec"]["containers"][0]
    assert mount == container["volumeMounts"][0]["mountPath"] == "/kept"
    commands = (SKYPILOT["run"], " ".join(KUBEFLOW["spec"]["trainer"]["command"]))
    for words in commands:
        assert "data=/kept/" in words and "hydra.run.dir=/kept/" in words and "ckpt_path=auto" in words
