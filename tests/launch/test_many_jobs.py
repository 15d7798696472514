"""What a thousand jobs cost the login node: work and memory a job, counted on a few."""

import cProfile
import pstats
from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import setup_globals
from hydra.types import RunMode
from omegaconf import OmegaConf

from imageclf.configs import CONF_DIR
from imageclf.launch.jobs import Job, compose_jobs, hydra_config
from imageclf.launch.slurm.check_jobs import check_jobs
from imageclf.launch.slurm.submit import prepare_run
from imageclf.launch.templates import share_files

NUMBER = 3


class Submission(NamedTuple):
    """Jobs whose directories are made, and the calls of functions that this took."""

    jobs: Sequence[Job]
    calls: dict[str, int]


@pytest.fixture(scope="module")
def submission(tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Submission:
    """Jobs after the first one: composed, checked and with a directory, as before sbatch is called."""
    folder = tmp_path_factory.mktemp("sweep")
    typed = [*tiny, "cluster=slurm", "cluster.shared_paths=[/]"]
    profile = cProfile.Profile()
    setup_globals()
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        sweep = loader.load_configuration("train", [f"hydra.sweep.dir={folder}", *typed], RunMode.MULTIRUN)
        share_files(loader)
        with hydra_config(sweep):
            compose_jobs(loader, sweep, [[*typed, "seed=0"]], 0)
            profile.enable()
            jobs = compose_jobs(loader, sweep, [[*typed, f"seed={seed}"] for seed in range(NUMBER)], 1)
            check_jobs(jobs, sweep)
            assert all(prepare_run(job) for job in jobs)
            profile.disable()
    calls: dict[str, int] = {}
    for (_, _, name), (_, total, *_) in pstats.Stats(profile).stats.items():
        calls[name] = calls.get(name, 0) + total
    return Submission(jobs, calls)


def test_a_job_takes_few_calls_of_functions(submission: Submission) -> None:
    # With a copy of the config for each step it took 1.6 million.
    assert sum(submission.calls.values()) / NUMBER < 400_000


@pytest.mark.parametrize(
    ("name", "times"), [("create_defaults_list", 0), ("check_weights_are_here", 1), ("check_data", 1)]
)
def test_what_all_jobs_have_in_common_is_done_once(submission: Submission, name: str, times: int) -> None:
    assert submission.calls.get(name, 0) == times


def test_a_job_that_waits_takes_a_few_kilobytes(submission: Submission) -> None:
    assert max(len(job.packed) for job in submission.jobs) < 20_000


def test_the_record_of_a_job_is_what_hydra_would_write(submission: Submission) -> None:
    job = submission.jobs[1]
    config = job.config
    written = {
        name: OmegaConf.load(job.run_dir / ".hydra" / f"{name}.yaml")
        for name in ("config", "hydra", "overrides")
    }
    assert {*written["config"], "hydra"} == {*config}
    assert written["config"] == OmegaConf.masked_copy(config, [*written["config"]])
    assert written["overrides"] == config.hydra.overrides.task
    assert OmegaConf.to_yaml(written["hydra"]) == OmegaConf.to_yaml(OmegaConf.masked_copy(config, "hydra"))
