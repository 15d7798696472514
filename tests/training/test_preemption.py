"""Runs that a scheduler ends: real signals to real processes, one save, and not a bit lost."""

import json
import signal
from pathlib import Path

import pytest
import torch
from doors import through_door
from marks import only
from probes import digest, lines
from small_runs import RECORDER, SMALL, THREE_PHASES, composed, train_small

from imageclf import Preempted
from imageclf.callbacks.checkpoint import newest_whole
from imageclf.system.signals import STOPPING
from imageclf.training.directory import prepare

SAVES = "+callbacks.saves={_target_: probes.Saves}"
TWO_RANKS = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu"]


def send(name: str, epoch: int, batch: int, to: str, rank: int = 0) -> str:
    target = "_target_: probes.SendSignal"
    return (
        f"+callbacks.send={{{target}, name: {name}, epoch: {epoch}, batch: {batch}, to: {to}, rank: {rank}}}"
    )


def prepared(run_dir: Path, pictures: Path, *overrides: str) -> Path:
    run_dir.mkdir(exist_ok=True)
    typed = [*SMALL, f"data.root={pictures}", *THREE_PHASES, RECORDER, *overrides]
    prepare(composed(typed, run_dir), run_dir, typed)
    return run_dir


def final_weights(run_dir: Path) -> str:
    return digest(torch.load(run_dir / "snapshots/final.ckpt", weights_only=True)["state_dict"])


def saves(run_dir: Path) -> list[list[int]]:
    return [json.loads(line)["position"] for line in (run_dir / "saves.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """The run that nothing happened to."""
    return train_small(tmp_path_factory.mktemp("undisturbed"), pictures, *THREE_PHASES, RECORDER)


@pytest.fixture(scope="module")
def two_undisturbed(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """The run on two ranks that nothing happened to."""
    return train_small(tmp_path_factory.mktemp("two"), pictures, *THREE_PHASES, *TWO_RANKS)


@pytest.mark.parametrize(
    ("name", "workers"),
    only(
        [("SIGTERM", 2), ("SIGINT", 2), ("SIGHUP", 0)],
        [(signal.Signals(name).name, workers) for name in STOPPING for workers in (0, 2)],
    ),
)
@pytest.mark.fault(
    "Kills, signals and disks",
    "SIGTERM, SIGUSR1 or SIGUSR2 to all processes of a run",
    "One save at the next safe point, and no bit is lost",
)
def test_a_signal_to_the_process_tree_makes_one_save_and_no_bit_is_lost(
    undisturbed: Path, pictures: Path, tmp_path: Path, name: str, workers: int
) -> None:
    run_dir = prepared(
        tmp_path, pictures, SAVES, f"data.num_workers={workers}", send(name, epoch=3, batch=1, to="group")
    )
    assert through_door(run_dir) == (130 if name == "SIGINT" else 75)
    # Besides those at the ends of the phases, of which one was over.
    assert saves(run_dir) == [[2, 0], [3, 2]]
    assert through_door(run_dir) == 0
    assert final_weights(run_dir) == final_weights(undisturbed)


@pytest.mark.fault("Kills, signals and disks", "More signals during the save", "They change nothing")
def test_further_signals_during_the_save_change_nothing(
    undisturbed: Path, pictures: Path, tmp_path: Path
) -> None:
    during = "+callbacks.saves={_target_: probes.Saves, name: SIGTERM}"
    run_dir = prepared(tmp_path, pictures, during, send("SIGUSR2", epoch=1, batch=0, to="group"))
    assert through_door(run_dir) == 75
    # The process had a signal when it began this save, and another one inside it.
    assert saves(run_dir) == [[1, 1]]
    assert newest_whole(run_dir / "checkpoints") == run_dir / "checkpoints/last.ckpt"


def test_a_signal_on_an_epochs_last_batch_waits_for_its_validation(
    undisturbed: Path, pictures: Path, tmp_path: Path
) -> None:
    run_dir = prepared(tmp_path, pictures, SAVES, send("SIGTERM", epoch=2, batch=5, to="self"))
    assert through_door(run_dir) == 75
    assert saves(run_dir) == [[2, 0], [3, 0]]
    assert through_door(run_dir) == 0
    assert final_weights(run_dir) == final_weights(undisturbed)


@pytest.mark.fault(
    "Kills, signals and disks", "A signal inside an accumulated step", "The save waits for the step's end"
)
def test_a_signal_inside_an_accumulated_step_waits_for_its_end(pictures: Path, tmp_path: Path) -> None:
    run_dir = prepared(
        tmp_path,
        pictures,
        SAVES,
        "trainer.accumulate_grad_batches=3",
        send("SIGTERM", epoch=3, batch=1, to="self"),
    )
    assert through_door(run_dir) == 75
    assert saves(run_dir)[-1] == [3, 3]


def test_no_batch_is_trained_twice_or_left_out(undisturbed: Path, pictures: Path, tmp_path: Path) -> None:
    run_dir = prepared(tmp_path, pictures, send("SIGTERM", epoch=3, batch=1, to="self"))
    assert [through_door(run_dir), through_door(run_dir)] == [75, 0]
    trained = [[(row["epoch"], row["batch"]) for row in lines(d, "batch")] for d in (run_dir, undisturbed)]
    assert trained[0] == trained[1]


def test_lightning_answers_no_signal_at_any_stage(pictures: Path, tmp_path: Path) -> None:
    train_small(tmp_path, pictures, *THREE_PHASES, "+callbacks.answering={_target_: probes.Answering}")
    assert (tmp_path / "answering").read_text().split() == ["Notice.note"] * (2 + 6 + 2)


def test_without_the_checkpoint_callback_a_signal_ends_the_run_at_once(
    pictures: Path, tmp_path: Path
) -> None:
    run_dir = prepared(
        tmp_path, pictures, "~callbacks.checkpoint", send("SIGTERM", epoch=3, batch=1, to="self")
    )
    assert through_door(run_dir) == 75
    assert lines(run_dir, "batch")[-1]["batch"] == 0


@pytest.mark.parametrize(
    ("name", "to"),
    only(
        [("SIGINT", "parent")],
        [("SIGTERM", "self"), ("SIGHUP", "self"), ("SIGUSR1", "parent"), ("SIGINT", "parent")],
    ),
)
def test_a_signal_to_one_rank_or_to_the_ranks_parent_ends_both_with_one_save(
    two_undisturbed: Path, pictures: Path, tmp_path: Path, name: str, to: str
) -> None:
    disturbed = [*THREE_PHASES, *TWO_RANKS, SAVES, send(name, epoch=3, batch=1, to=to, rank=1)]
    with pytest.raises(KeyboardInterrupt if name == "SIGINT" else Preempted):
        train_small(tmp_path, pictures, *disturbed)
    assert saves(tmp_path) == [[2, 0], [3, 2]]
    train_small(tmp_path, pictures, *disturbed, "ckpt_path=auto")
    assert final_weights(tmp_path) == final_weights(two_undisturbed)


@pytest.mark.long
def test_ranks_that_read_their_votes_later_end_together_with_one_save(pictures: Path, tmp_path: Path) -> None:
    late = [*THREE_PHASES, *TWO_RANKS, "data.batch_size=2", "+callbacks.votes={_target_: probes.VotesBehind}"]
    disturbed = [*late, SAVES, send("SIGUSR1", epoch=3, batch=1, to="self", rank=1)]
    with pytest.raises(Preempted):
        train_small(tmp_path / "sent", pictures, *disturbed)
    # Asked at (3, 2), and decided two safe points later.
    assert saves(tmp_path / "sent") == [[2, 0], [3, 4]]
    train_small(tmp_path / "sent", pictures, *disturbed, "ckpt_path=auto")
    train_small(tmp_path / "undisturbed", pictures, *late)
    assert final_weights(tmp_path / "sent") == final_weights(tmp_path / "undisturbed")
