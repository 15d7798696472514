"""A job of SLURM finds code in the folder that the command named by --config-dir."""

from pathlib import Path

import pytest
from cluster_runs import SLURM, finish, jobs_of, start
from slurm_server import SlurmServer

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
