"""Tasks that torchrun starts: through the door, and from the command that composes the run."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from probes import digest, lines
from processes import wait_until
from small_runs import RECORDER, SMALL, THREE_PHASES, composed

from imageclf import InputError
from imageclf.configs import read_object
from imageclf.launch.start import checked_ranks
from imageclf.system.processes import held_port
from imageclf.system.world import World
from imageclf.training.directory import prepare

TWO_RANKS = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu"]
GUIDE = (Path(__file__).parents[2] / "docs/cluster.md").read_text(encoding="utf-8")
PROBES = str(Path(__file__).parents[1] / "support")


def torchrun(
    folder: Path, *arguments: str, restarts: int = 0, flags: Sequence[str] = ()
) -> "subprocess.CompletedProcess[str]":
    """Start two tasks of a module with torchrun."""
    flags = ["--standalone", "--nproc-per-node=2", f"--max-restarts={restarts}", *flags]
    command = [sys.executable, "-m", "torch.distributed.run", *flags]
    path = os.pathsep.join([PROBES, os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [*command, "-m", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def overrides(pictures: Path, *more: str) -> list[str]:
    return [*SMALL, f"data.root={pictures}", *THREE_PHASES, *TWO_RANKS, RECORDER, *more]


def final_weights(run_dir: Path) -> str:
    return digest(torch.load(run_dir / "snapshots/final.ckpt", weights_only=True)["state_dict"])


@pytest.fixture(scope="module")
def composed_by_task(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """The run directory of `imageclf-train` started in two tasks."""
    folder = tmp_path_factory.mktemp("torchrun")
    done = torchrun(folder, "imageclf.train", *overrides(pictures))
    assert done.returncode == 0, done.stderr
    runs = list(folder.glob("runs/train/*"))
    assert len(runs) == 1, "the tasks made a run directory each"
    return runs[0]


@pytest.mark.long
def test_both_tasks_train_one_run(composed_by_task: Path) -> None:
    first, second = ([row["parameters"] for row in lines(composed_by_task, "epoch", rank)] for rank in (0, 1))
    assert len(first) == 6
    assert first == second
    assert (composed_by_task / "summary.json").exists()


@pytest.mark.long
def test_the_door_gives_the_weights_of_the_command(
    composed_by_task: Path, pictures: Path, tmp_path: Path
) -> None:
    typed = overrides(pictures)
    prepare(composed(typed, tmp_path), tmp_path, typed)
    done = torchrun(tmp_path, "imageclf.worker", str(tmp_path), "trust=probes")
    assert done.returncode == 0, done.stderr
    assert final_weights(tmp_path) == final_weights(composed_by_task)


@pytest.mark.long
@pytest.mark.fault(
    "Several processes and clusters",
    "A task of torchrun is killed",
    "The others end, and after torchrun's restart the run ends bit for bit as without it",
)
def test_a_killed_task_ends_the_other_and_the_restarted_run_is_the_undisturbed_one(
    composed_by_task: Path, pictures: Path, tmp_path: Path
) -> None:
    die = "+callbacks.die={_target_: probes.KillRank, rank: 1}"
    safe = ("hydra.run.dir=run", "ckpt_path=auto", "callbacks.checkpoint.every_n_batches=1")
    done = torchrun(tmp_path, "imageclf.train", *overrides(pictures, die, *safe), restarts=1)
    assert done.returncode == 0, done.stderr
    assert "exitcode: -9" in done.stderr
    assert "forcefully exiting" not in done.stderr
    assert "resuming at epoch 1, batch 0" in (tmp_path / "run/train.log").read_text()
    assert final_weights(tmp_path / "run") == final_weights(composed_by_task)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("SIGUSR1", [f"--signals-to-handle={GUIDE.partition('--signals-to-handle=')[2].split('`')[0]}"]),
        # What it gets when its terminal is closed; it handles that one by itself.
        ("SIGHUP", []),
    ],
)
def test_a_signal_to_torchrun_is_one_to_its_tasks_which_save_and_are_not_started_again(
    pictures: Path, tmp_path: Path, name: str, flags: list[str]
) -> None:
    send = f"+callbacks.send={{_target_: probes.SendSignal, name: {name}, epoch: 3, batch: 1, to: launcher}}"
    typed = overrides(pictures, send, "hydra.run.dir=run")
    done = torchrun(tmp_path, "imageclf.train", *typed, flags=flags, restarts=1)
    assert done.returncode == 1
    assert f"imageclf: ended by {name}; go on with: imageclf-train hydra.run.dir=" in done.stderr
    assert read_object(tmp_path / "run/failed.json")["status"] == "preempted"
    assert (tmp_path / "run/checkpoints/last.ckpt").exists()
    assert (tmp_path / "run/train.log").read_text().count("trains on cpu") == 1


def node(folder: Path, port: int, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start torchrun for one task on one of at most two nodes, as the guide says."""
    flags = ["--nnodes=1:2", "--rdzv-backend=c10d", f"--rdzv-endpoint=localhost:{port}", "--max-restarts=3"]
    name, value = re.findall(r"`(TORCH_DISABLE_\w+)=(\d)`", GUIDE)[0]
    path = os.pathsep.join([PROBES, os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *flags, "-m", "imageclf.train", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, name: value},
    )


def listens(port: int) -> bool:
    """Return whether a process listens on a port of this machine."""
    with socket.socket() as client:
        return client.connect_ex(("localhost", port)) == 0


@pytest.mark.long
@pytest.mark.fault(
    "Several processes and clusters",
    "One of torchrun's two nodes is lost, and another one takes its place",
    "The run goes on with one node, and then with both",
)
def test_a_run_goes_on_without_a_lost_node_and_with_the_one_that_comes_back(
    pictures: Path, tmp_path: Path
) -> None:
    lost = "+callbacks.die={_target_: probes.KillRank, rank: 1, with_launcher: true}"
    # Until torchrun ends the task that trains alone, because another node has come.
    hold = "+callbacks.hold={_target_: cluster_probes.WaitForSignal, epoch: 2, batch: 1}"
    shared = ("data.batch_size=auto", "data.global_batch_size=8", "~schedule.phases.large")
    typed = overrides(pictures, lost, hold, *shared, "hydra.run.dir=run", "ckpt_path=auto")
    with held_port() as held:
        port = held.getsockname()[1]
        nodes = [node(tmp_path, port, *typed)]
        # The node that stays is the one at which both meet.
        wait_until(lambda: listens(port), "torchrun never listened", 120)
        nodes.append(node(tmp_path, port, *typed))
        wait_until((tmp_path / "run/held").exists, "no node went on alone", 300)
        nodes.append(node(tmp_path, port, *typed))
        codes = [each.wait(300) for each in nodes]
    assert sorted(codes) == [-signal.SIGKILL, 0, 0]
    assert "resuming at epoch 2, batch 2" in (tmp_path / "run/train.log").read_text()
    assert [row["epoch"] for row in lines(tmp_path / "run", "epoch", rank=1)] == [0, 2, 3, 4]


@pytest.mark.long
def test_a_mistake_is_said_once_and_ends_both_tasks(pictures: Path, tmp_path: Path) -> None:
    done = torchrun(tmp_path, "imageclf.train", *overrides(pictures, "seed=-1"))
    assert done.returncode != 0
    assert done.stderr.count("imageclf: seed=-1: give a number") == 1


@pytest.mark.long
def test_a_sweep_is_not_for_several_tasks(pictures: Path, tmp_path: Path) -> None:
    done = torchrun(tmp_path, "imageclf.train", "-m", *overrides(pictures, "seed=1,2"))
    assert done.returncode != 0
    assert "a sweep is not for srun or torchrun" in done.stderr


@pytest.mark.fault(
    "Several processes and clusters",
    "`trainer.devices` and the launcher's tasks differ",
    "It is refused before anything starts, naming both",
)
def test_ranks_that_the_config_and_the_launcher_count_otherwise_are_refused() -> None:
    node = {"devices": 1, "accelerator": "cpu"}
    with pytest.raises(InputError, match="make 1 ranks, and srun or torchrun started 2 tasks"):
        checked_ranks(node, World(0, 2))


def test_several_nodes_need_a_launcher() -> None:
    node = {"devices": 1, "accelerator": "cpu", "num_nodes": 2}
    with pytest.raises(InputError, match="start a task per rank with srun or torchrun"):
        checked_ranks(node, World(0, 1))


@pytest.mark.parametrize(
    ("environment", "world"),
    [
        ({}, (0, 1)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, (0, 1)),
        ({"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "4"}, (3, 4)),
        ({"RANK": "1", "WORLD_SIZE": "2"}, (0, 1)),
        ({"TORCHELASTIC_RUN_ID": "none", "RANK": "1", "WORLD_SIZE": "2"}, (1, 2)),
    ],
)
def test_the_launcher_says_which_of_how_many_tasks_this_is(
    environment: dict[str, str], world: tuple[int, int]
) -> None:
    assert World.of(environment) == world
