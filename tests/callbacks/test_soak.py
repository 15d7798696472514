"""A run of three hundred epochs takes no more of its process at its end than at its beginning."""

import json
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning as pl
import pytest
from small_runs import phases, train_small

EPOCHS, STOPS = 300, (105, 207)
SIZES, SETTLED = 3, 150
USAGE = "+callbacks.usage={_target_: test_soak.Usage}"
SCHEDULE = phases(
    features={"n_cycles": 3, "cycle_len": 10, "unfreeze_to": "head", "augment": False, "precompute": True},
    small={"n_cycles": 4, "cycle_len": 15, "unfreeze_to": "body1"},
    large={"n_cycles": 3, "cycle_len": 10, "unfreeze_to": 0, "size": 48, "batch_size": 7},
    restarts={"n_cycles": 4, "cycle_mult": 2, "unfreeze_to": 0},
    between={"n_cycles": 5, "cycle_len": 11, "lr_ratio": 3.0, "unfreeze_to": "body1", "size": 40},
    long={"n_cycles": 10, "cycle_len": 11, "bn": "eval", "unfreeze_to": 0},
)
TYPED = [*SCHEDULE, "data.valid_pct=0.3", "callbacks.tta.num_augmented=1", USAGE]


class Usage(pl.Callback):
    """Append what the process holds after each epoch, and stop it after some, once each."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        held = {
            "epoch": trainer.current_epoch,
            "memory": pages * os.sysconf("SC_PAGE_SIZE"),
            "files": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
            "threads": threading.active_count(),
        }
        with (self._run_dir / "usage.jsonl").open("a") as file:
            file.write(json.dumps(held) + "\n")
        stop = self._run_dir / f"stopped-{trainer.current_epoch}"
        if trainer.current_epoch in STOPS and not stop.exists():
            stop.touch()
            raise RuntimeError("stopped on purpose")


@pytest.mark.fault(
    "Kills, signals and disks",
    "A run takes 300 epochs of many phases, sizes and restarts, and is stopped twice",
    "Its process holds no more memory, files and threads at the end than at the beginning",
)
@pytest.mark.long
def test_memory_files_and_threads_stay_flat(pictures: Path, tmp_path: Path) -> None:
    for more in ([], ["ckpt_path=auto"], ["ckpt_path=auto"]):
        with suppress(RuntimeError):
            train_small(tmp_path, pictures, *TYPED, *more)
    rows = [json.loads(line) for line in (tmp_path / "usage.jsonl").read_text().splitlines()]
    assert {row["epoch"] for row in rows} == set(range(EPOCHS))
    # By then every phase and size has been seen; what is allocated once was allocated.
    late = [row for row in rows if row["epoch"] >= SETTLED]
    assert {row["threads"] for row in rows} == {rows[0]["threads"]}
    assert {row["files"] for row in late} == {late[0]["files"]}
    # The locks of the pictures kept at each size.
    assert late[0]["files"] - rows[0]["files"] <= 2 * SIZES
    # Measured: 1 MiB. The pictures of a batch an epoch would be 50, its gradients 100.
    assert max(row["memory"] for row in late) - late[0]["memory"] < 10 * 2**20
