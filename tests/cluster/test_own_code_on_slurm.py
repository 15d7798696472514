"""Jobs of SLURM find code of one's own: beside the configs, or in a project that uses the installed wheel."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cluster_runs import SLURM, finish, jobs_of, start
from slurm_server import SlurmServer

from imageclf.configs import read_config

pytestmark = [pytest.mark.long, pytest.mark.alone]


def test_a_job_finds_code_beside_the_users_configs(
    server: SlurmServer, tiny: list[str], tmp_path: Path
) -> None:
    for name in ("configs", "elsewhere"):
        (tmp_path / name).mkdir()
    (tmp_path / "configs/own_loss.py").write_text(
        "import torch\nclass Loss(torch.nn.CrossEntropyLoss): ...\n"
    )
    typed = (f"--config-dir={tmp_path}/configs", *tiny, *SLURM, "model.loss._target_=own_loss.Loss")
    lines, _ = finish(start(server, tmp_path / "elsewhere", *typed))
    ((_, run_dir),) = jobs_of(lines).items()
    assert (run_dir / "summary.json").exists()


def test_a_new_project_trains_on_its_cluster_by_the_installed_wheel(
    server: SlurmServer, target: Path, tmp_path: Path, tiny: list[str]
) -> None:
    project = tmp_path / "petals"
    # In place of installing the project; the wheel alone has the package.
    paths = os.pathsep.join([str(target), str(project / "src")])
    environment = {**server.environment, "PYTHONPATH": paths}

    def call(*words: str, folder: Path) -> "subprocess.Popen[str]":
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([sys.executable, *words], cwd=folder, env=environment, **pipes)

    finish(call(str(target / "bin/imageclf-new"), "petals", folder=tmp_path))
    finish(call("-m", "petals.pictures", "data/pictures", folder=project))
    small = [each for each in tiny if not each.startswith(("data=", "data.root="))]
    typed = ["--config-dir=conf", "experiment=petals", "cluster=ours", "cluster.shared_paths=[/]", "seed=1,2"]
    train = str(target / "bin/imageclf-train")
    lines, _ = finish(call(train, "-m", *typed, *small, folder=project))
    run_dirs = list(jobs_of(lines).values())
    assert len(run_dirs) == 2
    for run_dir in run_dirs:
        assert (run_dir / "report.html").exists()
        model = read_config(run_dir / "config.yaml")["model"]
        assert (model["loss"]["_target_"], model["head"]["_target_"]) == (
            "petals.loss.Loss",
            "petals.head.Head",
        )
