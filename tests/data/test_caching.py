"""What a kept result depends on, in which form pictures are kept, and what says so."""

import logging
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from presets import caching, noise, smooth

from imageclf import InputError
from imageclf.data import Caching
from imageclf.data.pictures.cache import entries
from imageclf.data.pictures.caching import choose_form
from imageclf.data.pictures.store import open_store

GIGA = 10**9


@pytest.fixture
def paths(tmp_path):
    """Write four pictures of equal sizes in bytes."""
    for index in range(4):
        Image.fromarray(noise(40, 50, seed=index)).save(tmp_path / f"{index}.bmp")
    return [str(tmp_path / f"{index}.bmp") for index in range(4)]


@pytest.fixture
def kept(tmp_path):
    """Return what the defaults keep."""
    return caching(tmp_path / "cache")


def swap(one, other, keep_times=False):
    """Exchange the contents of two files of one size."""
    files = [Path(one), Path(other)]
    contents = [path.read_bytes() for path in files]
    assert len(contents[0]) == len(contents[1]) and contents[0] != contents[1]
    for path, content in zip(files, reversed(contents), strict=True):
        times = path.stat()
        path.write_bytes(content)
        if keep_times:
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def store(kept, paths, size=32, side=64, resize="crop"):
    """Return the folder of a store."""
    return kept.stores(paths, {size: side}, resize)[size].folder


def pixels(path):
    """Return what a file holds."""
    with Image.open(path) as image:
        return np.asarray(image)


def first(kept, paths):
    """Return the first picture of a store."""
    return open_store(kept.stores(paths, {32: 64}, "crop")[32]).read(0).pixels


def test_the_same_pictures_are_stored_once(kept, paths):
    assert store(kept, paths) == store(kept, paths)
    assert len(list(entries(kept.folder.root))) == 1


def test_every_size_has_a_store_of_its_own(kept, paths):
    stores = kept.stores(paths, {32: 64, 48: 80}, "crop")
    assert set(stores) == {32, 48} and stores[32].folder != stores[48].folder
    assert len(list(entries(kept.folder.root))) == 2


@pytest.mark.parametrize("change", [{"size": 40}, {"side": 65}, {"resize": "squish"}])
def test_whatever_changes_the_stored_pixels_makes_another_store(kept, paths, change):
    assert store(kept, paths, **change) != store(kept, paths)


def test_the_form_makes_another_store(kept, paths):
    assert store(replace(kept, cache="jpeg"), paths) != store(replace(kept, cache="raw"), paths)


def test_the_order_of_the_pictures_makes_another_store(kept, paths):
    assert store(kept, paths[::-1]) != store(kept, paths)


def test_pictures_that_change_places_are_stored_anew(kept, paths):
    before, picture = store(kept, paths), first(kept, paths)
    swap(paths[0], paths[1])
    assert store(kept, paths) != before
    assert not np.array_equal(first(kept, paths), picture)
    np.testing.assert_array_equal(first(kept, paths), pixels(paths[0]))


@pytest.mark.parametrize("fingerprint", ["stat", "bytes"])
@pytest.mark.fault("Caches", "Two pictures swap places, with the same size and time", "They are stored anew")
def test_pictures_that_change_places_and_keep_their_times_are_stored_anew(kept, paths, fingerprint):
    kept = replace(kept, fingerprint=fingerprint)
    before = store(kept, paths)
    swap(paths[0], paths[1], keep_times=True)
    assert store(kept, paths) != before
    np.testing.assert_array_equal(first(kept, paths), pixels(paths[0]))


def test_by_their_content_pictures_with_new_times_are_those_that_are_stored(kept, paths):
    by_content = replace(kept, fingerprint="bytes")
    before = {each: store(each, paths) for each in (kept, by_content)}
    os.utime(paths[0])
    assert store(kept, paths) != before[kept]
    assert store(by_content, paths) == before[by_content]


def test_without_a_cache_there_is_no_store_and_no_folder(kept, paths):
    assert replace(kept, cache="none").stores(paths, {32: 64}, "crop") == {}
    assert not kept.folder.root.exists()


def test_no_pictures_have_no_store(kept):
    assert kept.stores([], {32: 64}, "crop") == {}


def test_a_store_says_what_it_holds(kept, paths):
    store(kept, paths)
    (entry,) = entries(kept.folder.root)
    expected = {"folder": str(Path(paths[0]).parent), "pictures": 4, "size": 32, "resize": "crop"}
    assert entry.about == expected | {"form": "raw"}


def test_stores_that_would_not_fit_are_said_and_not_made(kept, paths, caplog):
    with caplog.at_level(logging.WARNING):
        assert replace(kept, cache_gb=1e-9).stores(paths, {32: 64}, "crop") == {}
    assert "data.cache=auto: the shrunk pictures take about" in caplog.text
    assert "every epoch reads the files instead" in caplog.text


def test_stores_of_a_run_are_all_of_one_form_by_what_they_take_together(tmp_path):
    paths = [str(tmp_path / f"{index}.png") for index in range(4)]
    for path in paths:
        Image.fromarray(smooth(100, 100)).save(path)
    # Raw they take 120 kB and 77 kB.
    kept = caching(tmp_path / "cache", cache_gb=130e-6)
    assert [each.form for each in kept.stores(paths, {64: 100, 32: 80}, "crop").values()] == ["jpeg"] * 2
    assert [each.form for each in kept.stores(paths, {64: 100}, "crop").values()] == ["raw"]


@pytest.mark.parametrize(
    ("how", "raw_total", "budget", "expected"),
    [
        ("auto", GIGA, GIGA, "raw"),
        ("auto", GIGA + 1, GIGA, "jpeg"),
        ("auto", 3 * GIGA, GIGA, "jpeg"),
        ("auto", 4 * GIGA + 8, GIGA, None),
        ("auto", 0, 1, "raw"),
        ("raw", GIGA, GIGA, "raw"),
        ("jpeg", GIGA, GIGA, "jpeg"),
        ("jpeg", 3 * GIGA, GIGA, "jpeg"),
    ],
)
def test_the_form_is_the_best_that_fits(how, raw_total, budget, expected):
    assert choose_form(how, raw_total, budget) == expected


@pytest.mark.parametrize(("how", "raw_total"), [("raw", 2 * GIGA), ("jpeg", 5 * GIGA)])
def test_a_form_that_is_asked_for_and_does_not_fit_is_refused_with_what_to_do(how, raw_total):
    with pytest.raises(
        InputError, match=rf"^data\.cache={how}: .*data\.cache_gb allows 1 GB.*data\.cache=auto"
    ):
        choose_form(how, raw_total, GIGA)


@pytest.mark.parametrize("amount", [0, -1.5])
def test_no_room_is_refused_by_its_key(tmp_path, amount):
    with pytest.raises(InputError, match=rf"^data\.cache_gb={amount}: give a number above 0, up to"):
        caching(tmp_path, cache_gb=amount)


def test_the_folder_may_be_below_the_home(monkeypatch):
    monkeypatch.setenv("HOME", "/h")
    assert str(Caching("auto", "~/kept", 1, "stat").folder.root) == "/h/kept"


def test_a_cache_folder_that_is_a_file_is_refused_by_its_key(tmp_path, paths):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=rf"^data\.cache_dir={tmp_path}/file: .*data\.cache=none"):
        store(caching(tmp_path / "file"), paths)
