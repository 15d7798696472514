"""Sweeps as processes: signals, two at once, ranks inside a job, and what it all costs."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf
from sweeps import FAST, FAULT, begin, living, train, wait_for
from warm_start import WarmProcess

pytestmark = pytest.mark.long

# Neither of two jobs ends by itself while a test waits.
ENDLESS = [*FAST, FAULT, "schedule.phases.finetune.cycle_len=2000", "seed=1,2", "hydra.sweep.dir=sweep"]
COSTS = "+callbacks.costs={_target_: probes.Costs}"


@pytest.fixture
def ended(tiny, tmp_path, warm_start):
    """Return a function that ends an endless sweep once a job trains: (code, stderr, folder)."""

    def end(signal_it: Callable[[WarmProcess], None], *more: str, jobs: int = 1) -> tuple[int, str, Path]:
        process = warm_start.begin(tmp_path, "-m", *tiny, *ENDLESS, *more)
        wait_for(lambda: len(list(tmp_path.glob("sweep/*/pid-0"))) == jobs)
        wait_for(lambda: list(tmp_path.glob("sweep/*/checkpoints/last.ckpt")))
        signal_it(process)
        _, err = process.communicate(timeout=120)
        wait_for(lambda: not living(process.pid))
        return process.returncode, err, tmp_path / "sweep"

    return end


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c_ends_a_whole_sweep(ended, n_jobs):
    # A terminal sends it to all processes.
    code, err, sweep = ended(
        lambda process: os.killpg(process.pid, signal.SIGINT), f"hydra.launcher.n_jobs={n_jobs}", jobs=n_jobs
    )
    assert code == 130
    sentence = "imageclf: ended by Ctrl-C; go on with the same command and resume_sweep=sweep"
    assert err.splitlines()[-1] == sentence
    assert len(list(sweep.glob("*/checkpoints/last.ckpt"))) == n_jobs
    assert len(list(sweep.glob("*/config.yaml"))) == n_jobs
    assert not list(sweep.glob("*/failed.json"))


def test_ctrl_c_to_every_process_of_a_run_on_two_ranks_ends_it_with_130(tiny, tmp_path, warm_start):
    ranks = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu"]
    endless = [*FAST, *ranks, FAULT, "schedule.phases.finetune.cycle_len=2000"]
    process = warm_start.begin(tmp_path, *tiny, *endless)
    wait_for(lambda: len(list(tmp_path.glob("runs/*/*/pid-[01]"))) == 2)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert err.splitlines()[-1].startswith("imageclf: ended by Ctrl-C; go on with: imageclf-train ")
    assert len(list(tmp_path.glob("runs/*/*/checkpoints/last.ckpt"))) == 1
    wait_for(lambda: not living(process.pid))


@pytest.mark.parametrize(
    "send",
    [
        lambda process: process.send_signal(signal.SIGTERM),
        # SLURM sends it to the whole tree.
        lambda process: os.killpg(process.pid, signal.SIGTERM),
        # SLURM sends it to a batch script that asks for it before the time limit.
        lambda process: process.send_signal(signal.SIGUSR1),
    ],
    ids=["TERM to the parent", "TERM to the tree", "USR1 to the parent"],
)
def test_a_signal_ends_a_sweep_that_can_go_on(send, ended):
    code, err, sweep = ended(send)
    assert code == 75
    assert f"resume_sweep={sweep.name}" in err.splitlines()[-1]
    assert json.loads((sweep / "0" / "failed.json").read_text())["status"] == "preempted"
    assert not (sweep / "1").exists()


@pytest.mark.fault(
    "Several processes and clusters",
    "SIGUSR2 to a sweep on one machine, several runs at a time",
    "Every run that trains is saved, and the sweep says how it goes on",
)
def test_a_signal_to_a_sweep_saves_all_runs_that_are_training(ended):
    code, err, sweep = ended(
        lambda process: process.send_signal(signal.SIGUSR2), "hydra.launcher.n_jobs=2", jobs=2
    )
    assert code == 75
    sentence = "imageclf: ended by SIGUSR2; go on with the same command and resume_sweep=sweep"
    assert err.splitlines()[-1] == sentence
    assert len(list(sweep.glob("*/checkpoints/last.ckpt"))) == 2
    causes = [json.loads(path.read_text())["cause"] for path in sweep.glob("*/failed.json")]
    assert [cause.partition(";")[0] for cause in causes] == ["ended by SIGUSR2"] * 2


@pytest.mark.fault(
    "Several processes and clusters", "The process of a sweep is killed", "None of its processes stays"
)
def test_no_process_of_a_sweep_outlives_its_parent(ended):
    code, _, _ = ended(lambda process: process.kill(), "hydra.launcher.n_jobs=2", jobs=2)
    assert code == -signal.SIGKILL


@pytest.mark.fault(
    "Several processes and clusters", "Two sweeps start in the same second", "Each has directories of its own"
)
def test_two_sweeps_at_once_share_no_directory(tiny, tmp_path, warm_start):
    sweeps = [warm_start.begin(tmp_path, "-m", *tiny, *FAST, "seed=1,2,3") for _ in range(2)]
    for sweep in sweeps:
        _, err = sweep.communicate()
        assert sweep.returncode == 0, err
    summaries = list((tmp_path / "runs" / "train").glob("*/[012]/summary.json"))
    assert len(summaries) == len({path.parent for path in summaries}) == 6
    assert all(json.loads(path.read_text())["epochs"] == 2 for path in summaries)
    assert len(list((tmp_path / "runs" / "train").glob("*/*/"))) == 6


def test_two_jobs_of_two_ranks_make_two_run_directories(tiny, tmp_path):
    ranks = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu"]
    code, said = train(tmp_path, "-m", *tiny, *FAST, *ranks, FAULT, "seed=1,2", "hydra.sweep.dir=sweep")
    assert (code, said) == (0, "")
    assert sorted(path.name for path in (tmp_path / "sweep").iterdir()) == ["0", "1", "multirun.yaml"]
    assert [OmegaConf.load(tmp_path / f"sweep/{job}/config.yaml").seed for job in (0, 1)] == [1, 2]
    assert len(list(tmp_path.glob("sweep/*/summary.json"))) == 2
    assert len(list(tmp_path.glob("sweep/*/pid-[01]"))) == 4
    assert list(tmp_path.iterdir()) == [tmp_path / "sweep"]


def costs(run_dir: Path) -> dict[str, Any]:
    return json.loads((run_dir / "costs.json").read_text())


def test_eight_short_runs_cost_less_than_half_of_eight_commands(tiny, tmp_path):
    one = [*FAST, COSTS, "+trainer.limit_train_batches=1"]
    process = begin(tmp_path, *tiny, *one, "hydra.run.dir=single")
    _, err = process.communicate()
    assert process.returncode == 0, err
    rates = ",".join(f"0.00{number}" for number in range(1, 9))
    sweep = [f"schedule.phases.head.lr={rates}", "hydra.sweep.dir=sweep"]
    assert train(tmp_path, "-m", *tiny, *one, *sweep) == (0, "")
    single = costs(tmp_path / "single")["cpu"]
    jobs = [costs(path)["cpu"] for path in tmp_path.glob("sweep/[0-7]")]
    assert len(jobs) == 8
    # The parent and the fork server import as much as a single command does, once each.
    assert sum(jobs) + 2 * single < 8 * single / 2


def test_the_jobs_of_a_sweep_share_what_is_computed_of_the_pictures(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sweep = ["schedule.phases.head.lr=0.001,0.002,0.003,0.004", "hydra.sweep.dir=sweep"]
    assert train(tmp_path, "-m", *tiny, *FAST, COSTS, *sweep, "hydra.launcher.n_jobs=2") == (0, "")
    built = [costs(path)["built"] for path in tmp_path.glob("sweep/[0-3]")]
    assert len(built) == 4
    assert {Path(folder).parent.name for folder in built[0]} == {"features", "pictures", "verified"}
    assert all(each == built[0] for each in built)


@pytest.mark.usefixtures("alarm")
def test_a_job_that_fails_with_more_than_a_pipe_holds_does_not_hold_up_its_sweep(
    tiny: list[str], tmp_path: Path
) -> None:
    fail = "+callbacks.fail={_target_: probes.FailAtLength, size: 100000}"
    code, _ = train(tmp_path, "-m", *tiny, *FAST, fail, "seed=1,2")
    causes = [json.loads(path.read_text())["cause"] for path in tmp_path.glob("runs/**/failed.json")]
    assert code == 2 and len(causes) == 2
    assert all(len(cause) > 100_000 for cause in causes)
