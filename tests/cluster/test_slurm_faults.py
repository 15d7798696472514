"""Jobs that a real SLURM preempts, stops at the time limit, or loses with their node: not a bit is lost."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from cluster_runs import SLURM, final_weights, finish, jobs_of, start, train_here
from processes import wait_until
from slurm_server import SlurmServer
from small_runs import SMALL, THREE_PHASES

pytestmark = [pytest.mark.long, pytest.mark.alone]

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
        wait_until((run_dir / "held").exists, f"{run_dir} never began its fourth epoch", 120)

    server.kill_node("n2")
    preempted, signalled = preempt_one(server, [*pair])
    server.run("scancel", "--signal=USR2", signalled)
    wait_until(lambda: server.node_state("n2").startswith("down"), "the dead node was never missed", 60)
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
    wait_until(lambda: any(times(server, jobs)), "no job was preempted", 60)
    server.wait_for(urgent.split()[-1], "COMPLETED", seconds=60)
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
def cancelled(server: SlurmServer, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Disturbed:
    """A run whose job was cancelled by a plain scancel, seen once nothing of it is left."""
    small = ("-m", *SMALL, f"data.root={pictures}", *THREE_PHASES, SAVES, HELD, *SLURM)
    submitting = start(server, tmp_path_factory.mktemp("cancelled"), *small, "cluster.wait=false")
    ((job, run_dir),) = jobs_of(finish(submitting)[0]).items()
    wait_until((run_dir / "held").exists, f"{run_dir} never began its fourth epoch", 120)
    server.run("scancel", job)
    queued = ("squeue", "--noheader", f"--jobs={job}")
    wait_until(lambda: server.run(*queued, check=False) == "", "the cancelled job never ended", 60)
    return Disturbed(run_dir, server.job(job))


@pytest.mark.fault(
    "Several processes and clusters", "`scancel`", "The run is saved, and the job is not requeued"
)
def test_scancel_ends_a_job_for_good_with_its_run_saved(cancelled: Disturbed) -> None:
    assert (cancelled.job["JobState"], cancelled.job["Restarts"]) == ("CANCELLED", "0")
    assert saves(cancelled.run_dir) == AND_AT_THE_SIGNAL[:2]


def test_a_cancelled_run_goes_on_as_a_job_with_other_resources_and_ends_with_the_same_weights(
    server: SlurmServer, cancelled: Disturbed, undisturbed: Path, pictures: Path, tmp_path: Path
) -> None:
    # Before the run itself goes on elsewhere.
    run_dir = shutil.copytree(cancelled.run_dir, tmp_path / "copy")
    small = (*SMALL, f"data.root={pictures}", *THREE_PHASES, SAVES, HELD, *SLURM)
    other = ("cluster.minutes=45", "cluster.mem_gb=1", "cluster.partition=urgent")
    finish(start(server, tmp_path, *small, *other, f"hydra.run.dir={run_dir}", "ckpt_path=auto"))
    assert final_weights(run_dir) == final_weights(undisturbed)


def test_a_cancelled_run_goes_on_by_hand_and_ends_with_the_same_weights(
    cancelled: Disturbed, undisturbed: Path, pictures: Path
) -> None:
    again = (*SMALL, f"data.root={pictures}", *THREE_PHASES, SAVES, HELD, "ckpt_path=auto")
    train_here(cancelled.run_dir, *again)
    assert final_weights(cancelled.run_dir) == final_weights(undisturbed)


def test_a_requeued_run_leaves_no_second_directory(disturbed: dict[str, Disturbed]) -> None:
    for each in disturbed.values():
        numbered = [path.name for path in each.run_dir.parent.iterdir() if path.name.isdigit()]
        assert len(numbered) == (1 if each is disturbed["lost"] else 2)
