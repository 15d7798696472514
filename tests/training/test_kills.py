"""Runs that are killed again and again, at moments that a seed draws."""

import random
import signal
import tempfile
from pathlib import Path

import pytest
import torch
from doors import start_door
from probes import digest
from small_runs import SMALL, THREE_PHASES, composed, train_small

from imageclf.callbacks.checkpoint import newest_whole
from imageclf.training.directory import prepare

EVERY_BATCH = "callbacks.checkpoint.every_n_batches=1"
# A start takes about half a second, the whole run about two: kills fall into all of it.
LONGEST = 1.5


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> str:
    """The weights of the run that nothing happened to."""
    return final_weights(train_small(tmp_path_factory.mktemp("undisturbed"), pictures, *THREE_PHASES))


def final_weights(run_dir: Path) -> str:
    return digest(torch.load(run_dir / "snapshots/final.ckpt", weights_only=True)["state_dict"])


def is_done_after(run_dir: Path, seconds: float) -> bool:
    """Train for so long, then kill; return whether the run was done before."""
    process = start_door(run_dir)
    process.join(seconds)
    # It may be done by itself just now.
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode == 0


def killed_to_the_end(run_dir: Path, draw: random.Random, most: int) -> int:
    """Kill a run until it is done or was killed `most` times; return how often it was."""
    had_one = False
    for count in range(most):
        if is_done_after(run_dir, draw.uniform(0, LONGEST)):
            return count
        found = newest_whole(run_dir / "checkpoints")
        assert found is not None or not had_one, "no checkpoint is whole any more"
        had_one = found is not None
    assert is_done_after(run_dir, 120)
    return most


@pytest.mark.parametrize("kills", [4, pytest.param(50, marks=pytest.mark.long)])
@pytest.mark.fault(
    "Kills, signals and disks",
    "SIGKILL at 50 random moments, also while a checkpoint is written",
    "There is always a whole checkpoint, and the end has the same weights",
)
def test_killed_at_any_moment_a_run_has_a_whole_checkpoint_and_ends_with_the_same_weights(
    undisturbed: str, pictures: Path, tmp_path: Path, kills: int
) -> None:
    draw, left = random.Random(kills), kills
    while left > 0:
        # A run that is done too soon makes room for another.
        run_dir = Path(tempfile.mkdtemp(dir=tmp_path))
        typed = [*SMALL, f"data.root={pictures}", *THREE_PHASES, EVERY_BATCH]
        prepare(composed(typed, run_dir), run_dir, typed)
        left -= killed_to_the_end(run_dir, draw, left)
        assert final_weights(run_dir) == undisturbed
