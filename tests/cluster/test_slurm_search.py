"""A search on a real SLURM: a job for each trial; the command is killed while one is in the queue."""

from pathlib import Path
from typing import Any

import pytest
from cluster_runs import SLURM, finish, start
from omegaconf import OmegaConf
from processes import wait_until
from slurm_server import SlurmServer

pytest.importorskip("optuna", minversion="4")
pytestmark = [pytest.mark.long, pytest.mark.alone]

SEARCH = (
    *("-m", "~callbacks.report", "~callbacks.tta", "hparams_search=optuna", "hydra.sweeper.n_trials=2"),
    *("cluster.array_parallelism=1", "schedule.phases.head.lr=interval(0.001,0.01)"),
)


@pytest.fixture(scope="module")
def resumed(
    server: SlurmServer, tiny: list[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, str, list[str]]:
    """Kill a search once its first job is submitted, and go on: (its folder, that job, what it printed)."""
    folder = tmp_path_factory.mktemp("search")
    first = start(server, folder, *tiny, *SLURM, *SEARCH, "hydra.sweep.dir=sweep")
    job = folder / "sweep/0/.slurm_job"
    wait_until(job.exists, "the first trial was never submitted", 300)
    first.kill()
    first.communicate()
    before = job.read_text()
    printed, _ = finish(start(server, folder, *tiny, *SLURM, *SEARCH, "resume_sweep=sweep"))
    return folder / "sweep", before, printed


def results(sweep: Path) -> Any:
    return OmegaConf.to_container(OmegaConf.load(sweep / "optimization_results.yaml"))


def test_a_search_that_was_killed_waits_for_its_job_and_submits_no_second_one(
    resumed: tuple[Path, str, list[str]],
) -> None:
    sweep, before, _ = resumed
    assert (sweep / "0/.slurm_job").read_text() == before
    assert (sweep / "1/.slurm_job").read_text() != before


def test_a_search_on_a_cluster_tells_each_trial(resumed: tuple[Path, str, list[str]]) -> None:
    sweep, _, printed = resumed
    assert [trial["state"] for trial in results(sweep)["trials"]] == ["complete", "complete"]
    assert printed[-1] == str(sweep)


def test_a_search_that_would_submit_all_its_trials_at_once_is_refused(
    server: SlurmServer, tiny: list[str], tmp_path: Path
) -> None:
    _, said = finish(start(server, tmp_path, *tiny, *SLURM, *SEARCH, "cluster.array_parallelism=2"), code=1)
    assert "cluster.array_parallelism=2: all 2 trials would start before any has ended" in said
    assert not [*tmp_path.rglob("multirun.yaml"), *tmp_path.rglob("study.log")]
