"""The largest batch that the memory holds."""

import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from imageclf.commands.batch_size import demanding, largest_that_fits, taken_by_pictures
from imageclf.data.sources.unlabelled import unlabelled_table
from imageclf.schedule import Phase, Schedule


@pytest.mark.parametrize(
    ("room", "limit", "expected"),
    [(0, 64, 0), (1, 64, 1), (3, 64, 2), (4, 64, 4), (50, 64, 32), (1000, 64, 64), (1000, 60, 32)],
)
def test_it_is_the_largest_power_of_two_that_fits(room, limit, expected):
    assert largest_that_fits(lambda number: number <= room, limit) == expected


def test_nothing_is_tried_beyond_the_first_that_does_not_fit():
    tried = []
    largest_that_fits(lambda number: tried.append(number) or number <= 5, limit=1024)
    assert tried == [1, 2, 4, 8]


def test_each_size_and_set_of_groups_is_tried_once_and_cached_features_never():
    schedule = Schedule(
        {
            "head": Phase(augment=False, precompute=True),
            "augment": Phase(cycle_len=3),
            "grow": Phase(2, 1, 1, unfreeze_to=0, size=[64, 96]),
            "again": Phase(unfreeze_to=0, size=96),
        }
    )
    assert sorted(demanding(schedule, 32)) == ["32 px, from -1", "64 px, from 0", "96 px, from 0"]


CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("how", "cache", "extra", "device", "taken"),
    [
        ("on", "raw", None, CPU, True),
        ("on", "auto", None, CPU, True),
        ("auto", "auto", None, CPU, False),
        ("off", "auto", None, CUDA, False),
        ("auto", "jpeg", None, CUDA, False),
        ("auto", "none", None, CUDA, False),
        ("auto", "auto", abs, CUDA, False),
    ],
)
def test_pictures_on_the_device_take_their_part_of_its_memory(pictures, how, cache, extra, device, taken):
    table = unlabelled_table(str(pictures), ("blue", "green", "red"))
    data = SimpleNamespace(table=table, side_of=lambda size: 24, loading=SimpleNamespace(resize="squish"))
    kept = SimpleNamespace(loading=SimpleNamespace(device_store=how), caching=SimpleNamespace(cache=cache))
    config = SimpleNamespace(data=kept, transforms=SimpleNamespace(extra=extra))
    # 36 pictures of 30 by 24 pixels, squished to 24.
    expected = 36 * 24 * 24 * 3 if taken else 0
    assert taken_by_pictures(config, data, 16, device) == expected


def typed(pictures: Path, folder: Path) -> list[str]:
    """Return what is typed to search with a small body."""
    return [
        "data=folder", f"data.root={pictures}", "data.train=.", "data.valid=null", "data.num_workers=0",
        "trainer=cpu", "model.backbone=test_resnet", "model.weights=none", "schedule=minimal",
        f"hydra.run.dir={folder}",
    ]  # fmt: skip


@pytest.mark.parametrize("where", ["auto", "on"])
def test_with_room_enough_it_is_the_limit(where, command, pictures, tmp_path):
    small = ["limit=8", "data.size=32", f"data.device_store={where}"]
    outcome = command("batch_size", *typed(pictures, tmp_path), *small)
    assert (outcome.code, outcome.out.splitlines()[-1]) == (0, "data.batch_size=8"), outcome.err


def search(pictures: Path, folder: Path, memory: int) -> int:
    """Return the batch size that a process with so many bytes of memory finds."""
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "imageclf.batch_size",
            *typed(pictures, folder),
            "limit=1024",
            "data.size=256",
        ],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (memory, memory)),
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1].removeprefix("data.batch_size="))


@pytest.mark.long
def test_with_less_memory_it_is_less(pictures, tmp_path):
    less, more = (search(pictures, tmp_path, gigabytes << 30) for gigabytes in (5, 7))
    assert 0 < less < more < 1024


def test_a_schedule_of_cached_features_alone_needs_no_search(command, pictures, tmp_path):
    outcome = command("batch_size", *typed(pictures, tmp_path), "schedule=head_only")
    assert outcome.code == 1
    assert "every phase trains on cached features" in outcome.err
