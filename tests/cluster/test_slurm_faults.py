"""Jobs that a real SLURM preempts, stops at the time limit, or loses with their node: not a bit is lost."""

import json
import re
import shlex
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from cluster_runs import SLURM, final_weights, finish, jobs_of, start, submit, train_here
from processes import wait_until
from slurm_server import SlurmServer
from small_runs import SMALL, THREE_PHASES

pytestmark = [pytest.mark.long, pytest.mark.alone]

GUIDE = (Path(__file__).parents[2] / "docs/cluster.md").read_text(encoding="utf-8")
SAVES = "+callbacks.saves={_target_: probes.Saves}"
# The second batch of the second epoch of a phase whose end is the first place that is saved by itself.
HELD = "+callbacks.hold={_target_: cluster_probes.WaitForSignal, epoch: 3, batch: 1}"
AT_PHASE_ENDS = [[2, 0], [5, 0], [6, 0]]
AND_AT_THE_SIGNAL = [[2, 0], [3, 2], [5, 0], [6, 0]]


class Disturbed(NamedTuple):
    """A run that something happened to, when it is done.

    Args:
        run_dir: where it began.
        job: what SLURM knows of its job.
    """

    run_dir: Path
    job: dict[str, str]


@pytest.fixture(scope="module")
def disturbed(
    server: SlurmServer, pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Disturbed]:
    """Three runs: two on the first node, preempted and signalled, and one on a node that dies."""
    small = ("-m", *SMALL, f"data.root={pictures}", *THREE_PHASES, SAVES, HELD, *SLURM)
    where = "+hydra.launcher.additional_parameters.nodelist"
    folders = [tmp_path_factory.mktemp(name) for name in ("n1", "n2")]
    both = ("optimized_metric=val/acc,val/loss", "cluster.wait=false")
    first = start(server, folders[0], *small, f"{where}=n1", *both)
    waiting = start(server, folders[1], *small, f"{where}=n2")
    assert waiting.stdout is not None
    submitted = next(line.strip() for line in waiting.stdout if jobs_of([line.strip()]))
    pair, (lost,) = jobs_of(finish(first)[0]), jobs_of([submitted]).items()
    for run_dir in (*pair.values(), lost[1]):
        wait_until((run_dir / "held").exists, f"{run_dir} never began its fourth epoch", 300)

    server.kill_node("n2")
    preempted, signalled = preempt_one(server, [*pair])
    server.run("scancel", "--signal=USR2", signalled)
    wait_until(lambda: server.node_state("n2").startswith("down"), "the dead node was never missed", 120)
    server.start_node("n2")

    kinds = {"preempted": preempted, "signalled": signalled, "lost": lost[0]}
    for job in kinds.values():
        server.wait_for(job, "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", seconds=180)
    # It waited through the loss of the node.
    finish(waiting)
    directories = {**pair, lost[0]: lost[1]}
    return {kind: Disturbed(directories[job], server.job(job)) for kind, job in kinds.items()}


def preempt_one(server: SlurmServer, jobs: list[str]) -> list[str]:
    """Let a job of the higher partition have the place of one of two jobs, and return that one first."""
    urgent = server.run(
        "sbatch", "--partition=urgent", "--nodelist=n1", "--output=/dev/null", "--wrap=sleep 1"
    )
    wait_until(lambda: any(times(server, jobs)), "no job was preempted", 120)
    server.wait_for(urgent.split()[-1], "COMPLETED")
    chosen = dict(zip(jobs, times(server, jobs), strict=True))
    return sorted(jobs, key=lambda job: not chosen[job])


def times(server: SlurmServer, jobs: list[str]) -> list[bool]:
    """Return which jobs were ever preempted."""
    known = [server.job(job) for job in jobs]
    # A job that is not running has no PreemptTime.
    return [each["Restarts"] != "0" or each.get("PreemptTime", "None") != "None" for each in known]


@pytest.fixture(scope="module")
def undisturbed(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nothing happened to."""
    return train_here(
        tmp_path_factory.mktemp("undisturbed"), *SMALL, f"data.root={pictures}", *THREE_PHASES, SAVES
    )


def saves(run_dir: Path) -> list[list[int]]:
    """Return the positions that were saved, over all starts of a run."""
    return [json.loads(line)["position"] for line in (run_dir / "saves.jsonl").read_text().splitlines()]


def test_an_undisturbed_run_is_saved_at_its_phases_ends(undisturbed: Path) -> None:
    assert saves(undisturbed) == AT_PHASE_ENDS


@pytest.mark.parametrize("kind", ["preempted", "signalled", "lost"])
@pytest.mark.fault(
    "Several processes and clusters",
    "SLURM preempts a job, reaches its time limit or loses its node",
    "It is requeued and ends with the weights of an undisturbed run",
)
def test_a_disturbed_run_ends_with_the_weights_of_an_undisturbed_one(
    disturbed: dict[str, Disturbed], undisturbed: Path, kind: str
) -> None:
    assert disturbed[kind].job["JobState"] == "COMPLETED"
    assert final_weights(disturbed[kind].run_dir) == final_weights(undisturbed)


@pytest.mark.parametrize("kind", ["preempted", "signalled", "lost"])
def test_a_disturbed_job_is_requeued_once(disturbed: dict[str, Disturbed], kind: str) -> None:
    assert disturbed[kind].job["Restarts"] == "1"


@pytest.mark.parametrize("kind", ["preempted", "signalled"])
def test_a_signal_makes_one_save(disturbed: dict[str, Disturbed], kind: str) -> None:
    assert saves(disturbed[kind].run_dir) == AND_AT_THE_SIGNAL


def test_a_run_whose_node_died_goes_on_from_its_last_save(disturbed: dict[str, Disturbed]) -> None:
    assert saves(disturbed["lost"].run_dir) == AT_PHASE_ENDS


@pytest.fixture(scope="module")
def own_script(
    server: SlurmServer, pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """The guide's script of a sweep, submitted: the id of its job, and the folder of the sweep."""
    folder = tmp_path_factory.mktemp("own-script")
    (script,) = re.findall(r"```bash\n(#!/bin/bash\n.*?)```", GUIDE, re.DOTALL)
    small = [*SMALL, f"data.root={pictures}", *THREE_PHASES, HELD, "tags=[a],[b]"]
    script = script.replace("imageclf-train", f"{sys.executable} -m imageclf.train")
    script = script.replace("data=PICTURES seed=1,2", shlex.join(small))
    where = (f"--chdir={folder}", f"--output={folder}/log")
    return submit(server, *where, piped=script), folder / "runs/mine"


@pytest.fixture(scope="module")
def cancelled(
    server: SlurmServer, own_script: object, pictures: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[Disturbed]:
    """An array of which two jobs get signals of their own before a plain scancel, when all of it is over."""
    small = ("-m", *SMALL, f"data.root={pictures}", *THREE_PHASES, SAVES, HELD, *SLURM)
    four = ("tags=[by-hand],[as-a-job],[interrupted],[out-of-time]", "cluster.wait=false")
    # submitit takes any signal for the time limit where that is this short.
    once = ("cluster.minutes=9", "cluster.max_num_timeout=0")
    submitting = start(server, tmp_path_factory.mktemp("cancelled"), *small, *four, *once)
    jobs = jobs_of(finish(submitting)[0])
    array = next(iter(jobs)).partition("_")[0]
    for (job, run_dir), name in zip(jobs.items(), (None, None, "INT", "USR2"), strict=True):
        # The script has one of the four CPUs: the last job may wait for the end of the one before it.
        wait_until((run_dir / "held").exists, f"{run_dir} never began its fourth epoch", 300)
        if name is not None:
            server.run("scancel", f"--signal={name}", job)
            server.wait_for(job, "FAILED")
    server.run("scancel", array)
    queued = ("squeue", "--noheader", f"--jobs={array}")
    wait_until(lambda: server.run(*queued, check=False) == "", "the cancelled array never ended", 120)
    return [Disturbed(run_dir, server.job(job)) for job, run_dir in jobs.items()]


@pytest.mark.fault(
    "Several processes and clusters", "`scancel`", "The run is saved, and the job is not requeued"
)
def test_scancel_ends_an_array_for_good_with_its_runs_saved(cancelled: list[Disturbed]) -> None:
    for each in cancelled[:2]:
        assert (each.job["JobState"], each.job["Restarts"]) == ("CANCELLED", "0")
        assert saves(each.run_dir) == AND_AT_THE_SIGNAL[:2]


def test_the_signal_of_ctrl_c_saves_a_run_and_its_job_is_not_requeued(cancelled: list[Disturbed]) -> None:
    _, _, interrupted, _ = cancelled
    assert (interrupted.job["ExitCode"], interrupted.job["Restarts"]) == ("130:0", "0")
    assert saves(interrupted.run_dir) == AND_AT_THE_SIGNAL[:2]


def test_a_job_whose_time_limits_are_used_up_saves_and_ends_as_preempted(cancelled: list[Disturbed]) -> None:
    *_, late = cancelled
    assert (late.job["ExitCode"], late.job["Restarts"]) == ("75:0", "0")
    assert saves(late.run_dir) == AND_AT_THE_SIGNAL[:2]
    failure = json.loads((late.run_dir / "failed.json").read_text())
    assert failure["status"] == "preempted"
    assert failure["cause"].startswith("ended by SIGUSR2; go on with: imageclf-train hydra.run.dir=")


def test_a_cancelled_run_goes_on_as_a_job_with_other_resources_that_nobody_need_wait_for(
    server: SlurmServer, cancelled: list[Disturbed], undisturbed: Path, pictures: Path, tmp_path: Path
) -> None:
    run_dir = cancelled[1].run_dir
    small = (*SMALL, f"data.root={pictures}", *THREE_PHASES, SAVES, HELD, *SLURM)
    other = ("cluster.minutes=45", "cluster.mem_gb=1", "cluster.partition=urgent")
    waiting = start(server, tmp_path, *small, *other, f"hydra.run.dir={run_dir}", "ckpt_path=auto")
    assert waiting.stdout is not None
    (job,) = jobs_of([waiting.stdout.readline().strip()])
    waiting.send_signal(signal.SIGINT)
    _, said = finish(waiting, code=130)
    assert f"the jobs go on; scancel {job} ends them" in said
    server.wait_for(job, "COMPLETED", "FAILED", "CANCELLED")
    assert (run_dir / ".submitit").is_dir()
    assert final_weights(run_dir) == final_weights(undisturbed)


def test_a_cancelled_run_goes_on_by_hand_and_ends_with_the_same_weights(
    cancelled: list[Disturbed], undisturbed: Path, pictures: Path
) -> None:
    again = (*SMALL, f"data.root={pictures}", *THREE_PHASES, SAVES, HELD, "ckpt_path=auto")
    train_here(cancelled[0].run_dir, *again)
    assert final_weights(cancelled[0].run_dir) == final_weights(undisturbed)


@pytest.mark.fault(
    "Several processes and clusters",
    "The time limit of a job in which a sweep runs is near",
    "All running jobs save, and after its requeue the sweep goes on bit for bit",
)
def test_a_sweep_in_a_script_of_ones_own_requeues_its_job_and_goes_on(
    server: SlurmServer, own_script: tuple[str, Path], undisturbed: Path
) -> None:
    job, sweep = own_script
    for number in "01":
        wait_until((sweep / number / "held").exists, f"run {number} never began its fourth epoch", 300)
    # What --signal=B:USR1@300 sends.
    server.run("scancel", "--signal=USR1", "--batch", job)
    wait_until(lambda: server.job(job)["Restarts"] == "1", "the job was never requeued", 120)
    server.wait_for(job, "COMPLETED", "FAILED")
    assert (server.job(job)["JobState"], server.job(job)["Restarts"]) == ("COMPLETED", "1")
    assert {final_weights(sweep / number) for number in "01"} == {final_weights(undisturbed)}


def test_a_requeued_run_leaves_no_second_directory(disturbed: dict[str, Disturbed]) -> None:
    for each in disturbed.values():
        numbered = [path.name for path in each.run_dir.parent.iterdir() if path.name.isdigit()]
        assert len(numbered) == (1 if each is disturbed["lost"] else 2)
