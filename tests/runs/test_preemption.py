"""Runs that a scheduler ends: real signals to real processes, one save, and not a bit lost."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "callbacks"))  # the small runs and their probes

import torch
from doors import through_door
from probes import digest
from small_runs import RECORDER, SMALL, THREE_PHASES, composed, train_small

from imageclf.runs.directory import prepare

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


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGUSR2"])
def test_a_signal_to_the_process_tree_makes_one_save_and_no_bit_is_lost(
    undisturbed: Path, pictures: Path, tmp_path: Path, name: str, workers: int
) -> None:
    run_dir = prepared(
        tmp_path, pictures, SAVES, f"data.num_workers={workers}", send(name, epoch=3, batch=1, to="group")
    )
    assert through_door(run_dir) == 75
    # Besides those at the ends of the phases, of which one was over.
    assert saves(run_dir) == [[2, 0], [3, 2]]
    assert through_door(run_dir) == 0
    assert final_weights(run_dir) == final_weights(undisturbed)
