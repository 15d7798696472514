"""The first start of a run decodes each picture once, and leaves nothing behind where it is ended."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import numpy as np
import pytest
from doors import start_door
from PIL import Image
from small_runs import SMALL, THREE_PHASES, composed

from imageclf import InputError
from imageclf.data.pictures import decode
from imageclf.data.pictures.cache import entries
from imageclf.system.errors import INTERRUPTED, PREEMPTED
from imageclf.system.machine import available_cores
from imageclf.training.build import build_parts
from imageclf.training.directory import prepare
from imageclf.training.parts import table as run_table
from imageclf.training.parts.table import read_table, stored_sides, table_of_run
from imageclf.training.run_config import RunConfig, read_run_config

TWO_SIZES = {32, 48}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of 400 photos, links to four large ones: they take some seconds to decode."""
    folder = tmp_path_factory.mktemp("photos")
    y, x = np.mgrid[:1200, :1600]
    for number, name in enumerate(("one", "two")):
        (folder / name).mkdir()
        for each in range(2):
            waves = 127 + 120 * np.sin(x / (17 + number)) * np.cos(y / (23 + each))
            pixels = np.stack([waves, waves, 255 - waves], axis=2)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{each}.jpg")
        for copy in range(2, 400):
            os.link(folder / name / f"{copy % 2}.jpg", folder / name / f"{copy}.jpg")
    return folder


def prepared(run_dir: Path, pictures: Path, cache: Path, *more: str) -> Path:
    """Return a run directory with everything that the door needs."""
    run_dir.mkdir()
    typed = [*SMALL, f"data.root={pictures}", f"data.cache_dir={cache}", *THREE_PHASES, *more]
    prepare(composed(typed, run_dir), run_dir, typed)
    return run_dir


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Return whether a condition holds within so many seconds, as soon as it does."""
    deadline = time.monotonic() + seconds
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(0.005)
    return holds


def group(leader: int) -> set[int]:
    """Return the processes of a process group that have not ended."""
    members = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, number = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # It has just ended.
            continue
        if int(number) == leader and state not in "ZX":
            members.add(int(path.parent.name))
    return members


def contents(cache: Path) -> dict[int, tuple[bytes, bytes]]:
    """Return the bytes of all stores by size."""
    stores = [entry for entry in entries(cache) if entry.kind == "pictures"]
    return {
        entry.about["size"]: tuple((entry.folder / name).read_bytes() for name in ("pixels.bin", "index.npy"))
        for entry in stores
    }


def in_the_middle(run_dir: Path, cache: Path) -> ForkServerProcess:
    """Start a run, and return when its processes have written to both of its stores."""
    process = start_door(run_dir)

    def both_grow() -> bool:
        return sum(path.stat().st_size > 0 for path in cache.glob("verified/.*.tmp/*/pixels.bin")) == 2

    assert wait_until(lambda: both_grow() or not process.is_alive(), 60)
    assert process.is_alive() and len(group(process.pid)) > available_cores()
    return process


needs_cores = pytest.mark.skipif(available_cores() < 2, reason="one core decodes in one process")


@needs_cores
@pytest.mark.parametrize("to_all", [True, False], ids=["group", "parent"])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, INTERRUPTED), (signal.SIGTERM, PREEMPTED)])
def test_a_signal_ends_the_check_at_once_and_leaves_nobody_and_nothing(
    photos: Path, tmp_path: Path, number: signal.Signals, code: int, to_all: bool
) -> None:
    cache = tmp_path / "cache"
    process = in_the_middle(prepared(tmp_path / "run", photos, cache), cache)
    (os.killpg if to_all else os.kill)(process.pid, number)
    process.join(60)
    assert process.exitcode == code
    assert wait_until(lambda: not group(process.pid), 60)
    # At once: a check that has gone on to its end has made them.
    assert [path for path in cache.glob("*/*") if path.is_dir()] == []
    assert not (tmp_path / "run" / "split.csv").exists()


@needs_cores
@pytest.mark.fault(
    "Kills, signals and disks",
    "SIGKILL while pictures are checked and shrunk",
    "No process stays; the next start makes the same stores",
)
def test_a_kill_leaves_nobody_and_the_next_start_makes_the_stores_of_a_quiet_one(
    photos: Path, tmp_path: Path
) -> None:
    cache, quiet = tmp_path / "cache", tmp_path / "quiet"
    process = in_the_middle(prepared(tmp_path / "run", photos, cache), cache)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert wait_until(lambda: not group(process.pid), 60)
    assert list(entries(cache)) == []
    for root in (cache, quiet):
        run_dir = prepared(tmp_path / f"run-{root.name}", photos, root)
        table_of_run(run_dir, read_run_config(run_dir))
    assert contents(cache).keys() == TWO_SIZES
    assert contents(cache) == contents(quiet)
    assert list(cache.glob("*/.*.tmp")) == []


def test_what_the_table_has_shrunk_is_what_the_run_reads(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir = prepared(tmp_path / "run", pictures, tmp_path / "cache")
    config = read_run_config(run_dir)
    parts = build_parts(config, table_of_run(run_dir, config))
    monkeypatch.setattr(decode, "decoded", None)
    parts.data.setup("fit")
    assert set(parts.data._dataset.stores) == TWO_SIZES == set(contents(tmp_path / "cache"))


@pytest.fixture
def mixed(pictures: Path, tmp_path: Path) -> Path:
    """36 pictures, of which one is none."""
    shutil.copytree(pictures, tmp_path / "mixed")
    (tmp_path / "mixed" / "red" / "3.png").write_text("<html>")
    return tmp_path / "mixed"


def test_where_broken_pictures_are_left_out_the_stores_hold_the_others(mixed: Path, tmp_path: Path) -> None:
    run_dir = prepared(tmp_path / "run", mixed, tmp_path / "cache", "data.on_error=skip")
    config = read_run_config(run_dir)
    parts = build_parts(config, table_of_run(run_dir, config))
    parts.data.setup("fit")
    kept = entries(tmp_path / "cache")
    assert {(entry.kind, entry.about["pictures"]) for entry in kept} == {("pictures", 35)}


def test_a_broken_picture_stops_the_run_and_leaves_no_table_and_no_store(mixed: Path, tmp_path: Path) -> None:
    run_dir = prepared(tmp_path / "run", mixed, tmp_path / "cache")
    with pytest.raises(InputError, match=r"^1 picture cannot be read: .*red/3\.png: not a picture; "):
        table_of_run(run_dir, read_run_config(run_dir))
    assert not (run_dir / "split.csv").exists()
    assert [path for path in (tmp_path / "cache").glob("*/*") if path.is_dir()] == []


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["data.resize=random_resized_crop", "transforms=top_down"],
        ["data.resize=pad", "transforms=none", "model.backbone=test_vit"],
        ["schedule=lesson2", "transforms.max_zoom=1.6", "model.backbone=resnet18"],
        ["model.backbone=test_resnet.r160_in1k"],
    ],
)
def test_the_sides_are_known_before_the_model_is_built(
    parsed: Callable[..., RunConfig], overrides: list[str]
) -> None:
    given = parsed("data.cache=none", *overrides)
    data = build_parts(given, read_table(given.data, verify=False)).data
    assert stored_sides(given) == {size: data.side_of(size) for size in data.sizes} != {}


def test_where_only_the_model_can_tell_the_sides_it_is_left_to_it(
    parsed: Callable[..., RunConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_table, "expected_crop_pct", lambda name: None)
    assert stored_sides(parsed()) == {}


def test_an_unknown_backbone_is_left_to_whoever_builds_it(parsed: Callable[..., RunConfig]) -> None:
    given = parsed()
    assert stored_sides(given) != {}
    assert stored_sides(replace(given, model=replace(given.model, backbone="no_such_model"))) == {}
