"""What the first start on a set of pictures costs: each is checked and shrunk, with one core and with all."""

import os
import time
from pathlib import Path

import torch
from gpu_jobs import Rows, Setting
from gpu_machine import drawn_pictures
from gpu_runs import folder_of, phases, probed
from pictures import find_pictures, link_pictures

from imageclf.data.pictures.decode import read_picture
from imageclf.system.machine import available_cores

_FEW = 16


def decoding(setting: Setting, count: int) -> Rows:
    """Decode pictures one after the other, whole, on one core."""
    paths = find_pictures(drawn_pictures(setting))[:count]
    _bind(1)
    started = time.perf_counter()
    for path in paths:
        read_picture(str(path))
    seconds = time.perf_counter() - started
    yield (
        "decoding alone, one core",
        {"pictures": len(paths), "seconds": seconds, "pictures/s": len(paths) / seconds},
    )


def first_start(setting: Setting, count: int, cores: int) -> Rows:
    """Time a run up to its first step on new pictures, and again when they are known: the difference.

    Args:
        setting: of all jobs.
        count: of pictures.
        cores: 1, or 0 for all.
    """
    folder, every = folder_of(setting, "start", f"{cores} cores"), find_pictures(drawn_pictures(setting))
    link_pictures(every, count, folder / "pictures")
    link_pictures(every, _FEW, folder / "few")
    _bind(cores)
    # What a process does once is done by then.
    _seconds_to_first_step(folder / "few", folder / "warm")
    first, again = (_seconds_to_first_step(folder / "pictures", folder / name) for name in ("first", "again"))
    seconds, used = first - again, cores or available_cores()
    name = f"check and shrink, {used} core{'s' if used > 1 else ''}"
    yield name, {"pictures": count, "seconds": seconds, "pictures/s": count / seconds, "cores": used}


def _seconds_to_first_step(source: Path, run_dir: Path) -> float:
    typed = [
        "trainer=cpu",
        "data=folder",
        f"data.root={source}",
        "data.train=.",
        "data.valid=null",
        "data.valid_pct=0",
        "data.size=224",
        "data.batch_size=8",
        "data.num_workers=0",
        f"data.cache_dir={run_dir.parent}/cache",
        "model.backbone=test_resnet",
        "model.weights=none",
        *phases(all="{lr: 1e-3}"),
    ]
    started = time.perf_counter()
    probed(run_dir, "StopAt", {"epoch": 0, "batch": 0}, *typed)
    return time.perf_counter() - started


def _bind(cores: int) -> None:
    """Let this process, and those that it starts, use so many cores; 0: all that it may."""
    if cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
        # As torch counts them where it is imported on such a machine.
        torch.set_num_threads(cores)
