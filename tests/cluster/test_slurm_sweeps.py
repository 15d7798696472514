"""Runs on a real SLURM: an array, two nodes, a script submitted by hand, and a job that fails."""

import json
import socket
from pathlib import Path
from typing import NamedTuple

import pytest
from cluster_runs import SLURM, TWO_RANKS, final_weights, finish, jobs_of, start, submit, train_here
from processes import wait_until
from slurm_server import SlurmServer

pytestmark = [pytest.mark.long, pytest.mark.alone]

SAVES = "+callbacks.saves={_target_: probes.Saves}"
HELD = "+callbacks.hold={_target_: cluster_probes.WaitForSignal, epoch: 1, batch: 0}"
FAIL = "+callbacks.fail={_target_: cluster_probes.FailWithSeed, bad: 4, killed: 5}"


class Submitted(NamedTuple):
    """What four commands printed, submitted at the same time."""

    sweep: list[str]
    complaints: str
    two_nodes: list[str]
    script: list[str]
    cancelled: list[str]


@pytest.fixture(scope="module")
def submitted(server: SlurmServer, tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Submitted:
    """A sweep, two of whose runs fail; two runs on two nodes, one signalled and one cancelled; a script."""
    folders = [tmp_path_factory.mktemp(name) for name in ("sweep", "two-nodes", "script", "cancelled")]
    nodes = ("cluster.nodes=2", "trainer.num_nodes=2", "trainer.devices=1", "cluster.wait=false")
    tasks = ("cluster.tasks_per_node=2", "trainer.num_nodes=1", "trainer.devices=2", "cluster.print=true")
    commands = (
        ("-m", *tiny, *SLURM, "seed=1,2,3,4,5", FAIL, "cluster.cpus_per_task=1", "cluster.mem_gb=1"),
        (*tiny, *SLURM, *TWO_RANKS, *nodes, SAVES, HELD),
        (*tiny, *SLURM, *TWO_RANKS, *tasks, HELD),
        (*tiny, *SLURM, *TWO_RANKS, *nodes, HELD),
    )
    started = [start(server, folder, *command) for folder, command in zip(folders, commands, strict=True)]
    two_nodes, _ = finish(started[1])
    cancelled, _ = finish(started[3])
    for printed, order in ((two_nodes, ("scancel", "--signal=USR2")), (cancelled, ("scancel",))):
        ((job, run_dir),) = jobs_of(printed).items()
        wait_until((run_dir / "held").exists, f"{run_dir} never began its second epoch", 300)
        server.run(*order, job)
    server.wait_for(job, "CANCELLED")
    script, _ = finish(started[2])
    sweep, complaints = finish(started[0], code=2)
    return Submitted(sweep, complaints, two_nodes, script, cancelled)


@pytest.fixture(scope="module")
def by_fork_server(tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of two ranks as this machine's own processes."""
    return train_here(tmp_path_factory.mktemp("ranks"), *tiny, *TWO_RANKS, "trainer.devices=2")


def test_a_sweep_is_an_array_whose_runs_lie_beside_multirun_yaml(submitted: Submitted) -> None:
    jobs = jobs_of(submitted.sweep)
    folder = Path(submitted.sweep[-1])
    arrays = {job.partition("_")[0] for job in jobs}
    assert len(arrays) == 1
    assert [job.partition("_")[2] for job in jobs] == ["0", "1", "2", "3", "4"]
    assert list(jobs.values()) == [folder / str(number) for number in range(5)]
    assert (folder / "multirun.yaml").exists()


def test_a_job_writes_down_its_config_as_a_tree(submitted: Submitted) -> None:
    tree = Path(submitted.sweep[-1], "0", "config_tree.log").read_text()
    assert tree.startswith("config\n")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_run_of_the_array_reaches_the_weights_of_a_local_run(
    submitted: Submitted, tiny: list[str], tmp_path: Path, seed: int
) -> None:
    run_dir = Path(submitted.sweep[-1], str(seed - 1))
    here = train_here(tmp_path, *tiny, f"seed={seed}")
    assert json.loads((run_dir / "summary.json").read_text())["epochs"] == 2
    assert final_weights(run_dir) == final_weights(here)


@pytest.mark.fault("Several processes and clusters", "A job of an array fails", "SLURM knows it as failed")
def test_a_job_that_fails_is_failed_for_slurm_and_the_others_are_completed(
    submitted: Submitted, server: SlurmServer
) -> None:
    known = [server.job(job) for job in jobs_of(submitted.sweep)]
    assert [job["JobState"] for job in known] == ["COMPLETED"] * 3 + ["FAILED"] * 2
    assert [job["ExitCode"] for job in known[3:]] == ["2:0", "137:0"]
    assert [job["Restarts"] for job in known[3:]] == ["0", "0"]


def test_the_command_names_the_runs_that_failed(submitted: Submitted) -> None:
    folder = submitted.sweep[-1]
    cause = f"job 3 (seed=4) ended as FAILED: RuntimeError: failed on purpose; see {folder}/3; go on with"
    assert f"{cause} the same command, hydra.sweep.dir={folder} and ckpt_path=auto" in submitted.complaints
    killed = "job 4 (seed=5) ended as FAILED: a task was killed (exit code 137); was it out of memory?; see"
    assert killed in submitted.complaints
    assert submitted.complaints.count("imageclf: ") == 2
    assert "Error executing job" not in submitted.complaints


def test_a_failed_run_says_why_in_its_directory(submitted: Submitted) -> None:
    failure = json.loads(Path(submitted.sweep[-1], "3", "failed.json").read_text())
    assert (failure["status"], failure["exit_code"]) == ("failed", 2)
    assert failure["cause"].startswith("RuntimeError: failed on purpose")


@pytest.mark.fault(
    "Several processes and clusters", "A task is killed, as for its memory", "failed.json says so"
)
def test_a_killed_run_says_so_in_its_directory(submitted: Submitted) -> None:
    failure = json.loads(Path(submitted.sweep[-1], "4", "failed.json").read_text())
    assert (failure["status"], failure["exit_code"]) == ("killed", 2)
    assert failure["cause"] == "a task was killed (exit code 137); was it out of memory?"


def test_the_log_of_a_failed_job_holds_its_traceback(submitted: Submitted) -> None:
    logs = [path.read_text() for path in Path(submitted.sweep[-1], ".submitit").glob("*_3/*_log.err")]
    assert len(logs) == 1
    assert "RuntimeError: failed on purpose" in logs[0]


def test_what_a_job_asks_for_is_in_its_script(submitted: Submitted) -> None:
    (script,) = Path(submitted.sweep[-1], ".submitit").glob("*/*_submission.sh")
    lines = script.read_text().splitlines()
    assert {"#SBATCH --cpus-per-task=1", "#SBATCH --mem=1GB", "#SBATCH --requeue"} <= set(lines)
    assert "export SRUN_CPUS_PER_TASK=1" in lines


def test_a_command_that_does_not_wait_prints_the_job_and_the_folder(submitted: Submitted) -> None:
    ((_, run_dir),) = jobs_of(submitted.two_nodes).items()
    assert submitted.two_nodes[-1] == str(run_dir.parent)
    assert run_dir.name == "0"


def test_two_nodes_that_are_requeued_reach_the_weights_of_two_processes_here(
    submitted: Submitted, server: SlurmServer, by_fork_server: Path
) -> None:
    ((job, run_dir),) = jobs_of(submitted.two_nodes).items()
    server.wait_for(job, "COMPLETED", "FAILED")
    assert (server.job(job)["NumNodes"], server.job(job)["Restarts"]) == ("2", "1")
    assert final_weights(run_dir) == final_weights(by_fork_server)


def test_one_of_two_ranks_logs_each_start_with_the_day_the_host_and_the_job(
    submitted: Submitted, server: SlurmServer
) -> None:
    ((job, run_dir),) = jobs_of(submitted.two_nodes).items()
    server.wait_for(job, "COMPLETED", "FAILED")
    starts = [line for line in (run_dir / "train.log").read_text().splitlines() if "trains on cpu" in line]
    assert len(starts) == 2
    assert [line.partition(" on " + socket.gethostname())[2] for line in starts] == [f", job {job}"] * 2


def test_two_ranks_save_once_for_a_signal(submitted: Submitted, server: SlurmServer) -> None:
    ((job, run_dir),) = jobs_of(submitted.two_nodes).items()
    server.wait_for(job, "COMPLETED", "FAILED")
    saved = [json.loads(line)["position"] for line in (run_dir / "saves.jsonl").read_text().splitlines()]
    assert saved == [[1, 0], [1, 1], [2, 0]]


def test_scancel_ends_two_nodes_for_good_and_their_run_goes_on_here(
    submitted: Submitted, server: SlurmServer, tiny: list[str], by_fork_server: Path
) -> None:
    ((job, run_dir),) = jobs_of(submitted.cancelled).items()
    known = server.job(job)
    assert (known["JobState"], known["NumNodes"], known["Restarts"]) == ("CANCELLED", "2", "0")
    here = ("+trainer.num_nodes=1", "trainer.devices=2", "ckpt_path=auto")
    train_here(run_dir, *tiny, *TWO_RANKS, HELD, *here)
    assert final_weights(run_dir) == final_weights(by_fork_server)


def test_a_printed_script_is_piped_to_sbatch_cancelled_and_goes_on_when_it_is_submitted_again(
    submitted: Submitted, server: SlurmServer, by_fork_server: Path
) -> None:
    folder = Path(submitted.script[-1])
    assert jobs_of(submitted.script) == {}
    assert (folder / "sbatch.sh").read_text().splitlines() == submitted.script[:-2]
    job = submit(server, piped="\n".join(submitted.script))
    wait_until((folder / "0/held").exists, "the run of the script never began its second epoch", 300)
    server.run("scancel", job)
    server.wait_for(f"{job}_0", "CANCELLED", "FAILED", "COMPLETED", "PENDING")
    ended = server.job(f"{job}_0")
    assert (ended["JobState"], ended["Restarts"]) == ("CANCELLED", "0")
    job = submit(server, str(folder / "sbatch.sh"))
    server.wait_for(f"{job}_0", "COMPLETED", "FAILED")
    log = (folder / f"{job}_0.log").read_text()
    known = server.job(f"{job}_0")
    assert (known["JobState"], known["NumNodes"]) == ("COMPLETED", "1"), log
    assert final_weights(folder / "0") == final_weights(by_fork_server), log
