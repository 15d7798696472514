"""A disk that has no room for a checkpoint: the old one stays, and a sentence says so."""

import errno
import os
import resource
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from doors import through_door
from probes import digest
from small_runs import SMALL, THREE_PHASES, composed, train_small

from imageclf.callbacks.checkpoint import newest_whole
from imageclf.model.weights.files import save_tensors
from imageclf.system.errors import FAILED
from imageclf.training.directory import prepare


def final_weights(run_dir: Path) -> str:
    return digest(torch.load(run_dir / "snapshots/final.ckpt", weights_only=True)["state_dict"])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 32 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture
def small_files() -> Iterator[int]:
    """Allow files of 1 MB at the most."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    assert signal.getsignal(signal.SIGXFSZ) is signal.SIG_IGN, "Python ignores it, and gets an error"
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, before[1]))
    yield 2**20
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_the_file_system_says_is_raised_and_the_old_file_stays(small_files: int, tmp_path: Path) -> None:
    path = tmp_path / "state.ckpt"
    save_tensors({"weight": torch.ones(3)}, path)
    with pytest.raises(OSError) as failed:
        save_tensors({"weight": torch.ones(small_files)}, path)
    assert failed.value.errno == errno.EFBIG
    assert torch.equal(torch.load(path, weights_only=True)["weight"], torch.ones(3))
    assert [file.name for file in tmp_path.iterdir()] == ["state.ckpt"]


@pytest.mark.fault(
    "Kills, signals and disks",
    "The disk is full while a checkpoint is written",
    "The old one stays; the run ends with a sentence and goes on once there is room",
)
def test_a_full_disk_ends_the_run_and_with_room_again_it_goes_on_without_loss(
    small_disk: Path, pictures: Path, tmp_path: Path
) -> None:
    run_dir = small_disk / "run"
    run_dir.mkdir()
    fill = "+callbacks.fill={_target_: probes.FillDisk, epoch: 3, batch: 1}"
    every_batch = "callbacks.checkpoint.every_n_batches=1"
    typed = [*SMALL, f"data.root={pictures}", *THREE_PHASES, every_batch, fill]
    prepare(composed(typed, run_dir), run_dir, typed)
    assert through_door(run_dir) == FAILED
    last = newest_whole(run_dir / "checkpoints")
    assert last is not None
    assert torch.load(last, weights_only=True)["position"] == [3, 1]
    assert list((run_dir / "checkpoints").glob(".*.tmp")) == []
    (run_dir / "filler").write_bytes(b"")
    assert through_door(run_dir) == 0
    reference = train_small(tmp_path / "reference", pictures, *THREE_PHASES)
    assert final_weights(run_dir) == final_weights(reference)
