"""Jobs that use a cache at once, and jobs that are killed."""

import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from cache_jobs import (
    build_and_hold,
    check_and_make_store,
    look_and_get_later,
    make_store,
    run,
    start,
    wait_until,
)
from fork_server import FORK_SERVER
from PIL import Image
from presets import caching, smooth

from imageclf.data.pictures.cache import entries

SIDE = 64
FILES = ("pixels.bin", "index.npy")


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Write 300 photos, of which ten differ."""
    folder = tmp_path_factory.mktemp("photos")
    for index in range(10):
        Image.fromarray(np.roll(smooth(450, 600), 40 * index, axis=1)).save(folder / f"{index}.jpg")
    for index in range(10, 300):
        shutil.copy(folder / f"{index % 10}.jpg", folder / f"{index}.jpg")
    return [str(folder / f"{index}.jpg") for index in range(300)]


@pytest.fixture(scope="module", params=["raw", "jpeg"])
def form(request):
    """Go through both forms of a store."""
    return request.param


@pytest.fixture(scope="module")
def undisturbed(paths, form, tmp_path_factory):
    """Make a store that nothing happens to."""
    root = tmp_path_factory.mktemp("undisturbed")
    run(make_store, paths, root, form, SIDE)
    return contents(only(root))


def only(root):
    """Return the folder of the one complete store."""
    (entry,) = (entry for entry in entries(root) if entry.kind == "pictures")
    return entry.folder


def contents(folder):
    """Return the bytes of a store's files."""
    return {name: (folder / name).read_bytes() for name in FILES}


def decoded(root):
    """Return which files each process decoded."""
    return [file.read_text().split("\n") for file in sorted(root.glob("decoded-*.txt")) if file.read_text()]


@pytest.mark.fault(
    "Caches", "A process is killed while it builds a cache", "The next one builds it to the same bytes"
)
def test_a_killed_build_is_done_anew_to_the_same_bytes(paths, form, undisturbed, tmp_path):
    victim = start(make_store, paths, tmp_path, form, SIDE)

    def has_grown():
        files = list(tmp_path.glob("pictures/.*.tmp/pixels.bin"))
        return bool(files) and files[0].stat().st_size > 100_000

    wait_until(has_grown, victim)
    os.kill(victim.pid, signal.SIGKILL)
    victim.join(60)
    assert victim.exitcode == -signal.SIGKILL
    (stale,) = tmp_path.glob("pictures/.*.tmp")
    assert list(entries(tmp_path)) == []
    caching(tmp_path, cache=form).stores(paths, {32: SIDE}, "crop")
    assert contents(only(tmp_path)) == undisturbed and not stale.exists()


@pytest.mark.parametrize("job", [make_store, check_and_make_store])
@pytest.mark.fault("Caches", "Four jobs build the same cache at once", "One builds, the others wait")
def test_four_jobs_at_once_make_one_store_between_them(paths, form, undisturbed, tmp_path, job):
    barrier = FORK_SERVER.Barrier(4)
    jobs = [start(job, paths, tmp_path, form, SIDE, barrier) for _ in range(4)]
    for job in jobs:
        job.join(60)
    assert [job.exitcode for job in jobs] == [0] * 4
    assert contents(only(tmp_path)) == undisturbed
    assert list(tmp_path.glob("*/.*.tmp")) == []
    # Whoever came first decoded them all; the others none.
    assert [sorted(files) for files in decoded(tmp_path)] == [sorted(paths)]


def test_a_second_run_decodes_nothing(paths, tmp_path):
    for _ in range(2):
        run(make_store, paths[:20], tmp_path, "raw", SIDE)
    assert len(list(tmp_path.glob("decoded-*.txt"))) == 2 and len(decoded(tmp_path)) == 1


def test_a_job_waits_for_another_to_build_and_not_for_it_to_end(tmp_path: Path):
    looked, built, late_has_it, may_end = (FORK_SERVER.Event() for _ in range(4))
    builder = start(build_and_hold, tmp_path, "key", looked, built, may_end)
    # It has looked for the result before the other made it, and asks again now that the other uses it.
    late = start(look_and_get_later, tmp_path, "key", looked, built, late_has_it)
    try:
        assert late_has_it.wait(15), "it waits for as long as the other lives: two ranks would for ever"
    finally:
        may_end.set()
        for job in (builder, late):
            job.join(60)
