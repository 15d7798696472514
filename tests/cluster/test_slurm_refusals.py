"""What SLURM itself refuses."""

from pathlib import Path

import pytest
from cluster_runs import SLURM
from slurm_server import SlurmServer

pytestmark = [pytest.mark.long, pytest.mark.alone]


def test_jobs_that_sbatch_refuses_are_one_sentence_and_the_same_folder_can_be_used_again(
    server: SlurmServer, tiny: list[str], command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_CONF", server.environment["SLURM_CONF"])
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        outcome = command("train", *tiny, *SLURM, "cluster.partition=nowhere", "hydra.sweep.dir=mine")
        assert outcome.code == 1
        assert len(outcome.mistakes) == 1
        assert "sbatch refuses the jobs" in outcome.mistakes[0]
        assert "invalid partition specified: nowhere" in outcome.mistakes[0]
