"""Results that are kept between runs: found when complete, removed when room is needed and none uses them."""

import fcntl
import json
import os
import subprocess
import sys
from functools import partial

import pytest
from cache_jobs import AMPLE, fill, run, used_elsewhere, writing

from imageclf import InputError
from imageclf.data.pictures.cache import Cache, content_key, entries, remove


@pytest.fixture
def cache(tmp_path):
    """Return a cache with room for all."""
    return Cache(tmp_path, AMPLE)


def names(root):
    """Return the keys of all complete results."""
    return [entry.folder.name for entry in entries(root)]


def age(root, *keys):
    """Make results last used in this order, long ago."""
    for second, key in enumerate(keys):
        os.utime(root / "features" / key / "about.json", (second, second))


def entry(root, key):
    """Return a result by its key."""
    return next(each for each in entries(root) if each.folder.name == key)


def test_a_result_is_built_once(cache):
    built = []

    def build(folder):
        built.append(folder)
        writing(10)(folder)

    folders = [cache.get("features", "key", {"pictures": 3}, build) for _ in range(2)]
    assert folders == [cache.root / "features" / "key"] * 2 and len(built) == 1
    assert (folders[0] / "content.bin").read_bytes() == bytes(10)


def test_a_result_says_what_it_was_made_from(cache):
    folder = cache.get("features", "key", {"pictures": 3, "size": 32}, writing(10))
    written = json.loads((folder / "about.json").read_text())
    assert {key: written[key] for key in ("pictures", "size")} == {"pictures": 3, "size": 32}
    (found,) = entries(cache.root)
    assert (found.folder, found.kind, found.about, found.size) == (
        folder,
        "features",
        {"pictures": 3, "size": 32},
        10,
    )


def test_a_result_of_another_kind_or_key_is_another(cache):
    cache.get("features", "key", {}, writing(10))
    assert cache.find("features", "other") is cache.find("pictures", "key") is None


def test_nothing_is_found_in_a_cache_that_is_not_there(tmp_path):
    assert Cache(tmp_path / "nowhere", AMPLE).find("features", "key") is None
    assert list(entries(tmp_path / "nowhere")) == []


def test_looking_for_a_result_leaves_no_folder_behind(cache):
    cache.find("features", "key")
    assert list(cache.root.iterdir()) == []


@pytest.mark.fault("Caches", "A cache was only half written", "It is not found, and built again")
def test_a_half_written_result_is_not_found(cache):
    half = cache.root / "features" / "key"
    half.mkdir(parents=True)
    writing(10)(half)
    assert cache.find("features", "key") is None and names(cache.root) == []


def test_what_a_job_left_that_was_killed_while_removing_it_is_built_anew(cache):
    half = cache.root / "features" / "key"
    half.mkdir(parents=True)
    writing(3)(half)
    folder = cache.get("features", "key", {}, writing(10))
    assert (folder / "content.bin").read_bytes() == bytes(10)


def test_what_a_killed_builder_left_just_before_its_end_is_not_listed(cache):
    temporary = cache.root / "features" / ".key.123.tmp"
    temporary.mkdir(parents=True)
    writing(10)(temporary)
    (temporary / "about.json").write_text("{}")
    assert cache.find("features", "key") is None and names(cache.root) == []


def test_a_builder_that_fails_leaves_nothing(cache):
    def build(folder):
        writing(10)(folder)
        raise InputError("a picture cannot be read")

    with pytest.raises(InputError, match=r"^a picture cannot be read"):
        cache.get("features", "key", {}, build)
    assert names(cache.root) == [] and list(cache.root.glob("features/.*.tmp")) == []


def test_finding_a_result_is_using_it(cache):
    fill(cache.root, {"key": 10})
    age(cache.root, "key")
    cache.find("features", "key")
    assert entry(cache.root, "key").used > 10**9


def test_a_result_that_none_uses_is_removed(tmp_path):
    run(fill, tmp_path, {"key": 10})
    assert remove(entry(tmp_path, "key"))
    assert names(tmp_path) == [] and not (tmp_path / "features" / "key").exists()


def test_a_result_is_removed_only_after_the_process_that_uses_it_has_ended(tmp_path):
    run(fill, tmp_path, {"key": 10})
    with used_elsewhere(tmp_path, "key"):
        assert not remove(entry(tmp_path, "key")) and names(tmp_path) == ["key"]
    assert remove(entry(tmp_path, "key"))


def test_what_this_process_uses_is_not_removed(cache):
    cache.get("features", "key", {}, writing(10))
    assert not remove(entry(cache.root, "key")) and cache.find("features", "key") is not None


def test_locks_are_granted_where_they_become_posix_locks_as_on_nfs(tmp_path, monkeypatch):
    # These refuse to be shared through a file open for writing alone (EBADF), and the other way round.
    monkeypatch.setattr(fcntl, "flock", fcntl.lockf)
    fill(tmp_path, {"key": 10})
    assert Cache(tmp_path, AMPLE).find("features", "key") is not None
    assert remove(entry(tmp_path, "key"))


def test_a_removed_result_is_built_again(tmp_path):
    for _ in range(2):
        run(fill, tmp_path, {"key": 10})
        assert remove(entry(tmp_path, "key"))
    run(fill, tmp_path, {"key": 10})
    assert names(tmp_path) == ["key"]


@pytest.mark.parametrize(
    ("size", "left"),
    [
        (10, ["a", "b", "c", "new"]),
        (11, ["a", "c", "new"]),
        (40, ["a", "c", "new"]),
        (41, ["c", "new"]),
        (70, ["c", "new"]),
        (100, ["new"]),
    ],
)
@pytest.mark.fault(
    "Caches", "The cache has no more room", "What was used longest ago makes room; what is in use stays"
)
def test_what_was_used_longest_ago_makes_room(tmp_path, size, left):
    run(fill, tmp_path, {"a": 30, "b": 30, "c": 30})
    age(tmp_path, "b", "a", "c")
    Cache(tmp_path, 100).get("features", "new", {}, writing(size))
    assert names(tmp_path) == left


def test_what_is_in_use_does_not_make_room(tmp_path):
    run(fill, tmp_path, {"a": 30, "b": 30})
    with used_elsewhere(tmp_path, "a"):
        age(tmp_path, "a", "b")
        Cache(tmp_path, 60).get("features", "new", {}, writing(20))
        assert names(tmp_path) == ["a", "new"]


def test_what_takes_no_room_stays(tmp_path):
    run(fill, tmp_path, {"checked": 0}, "verified")
    run(fill, tmp_path, {"a": 20})
    age(tmp_path, "a")
    Cache(tmp_path, 30).get("features", "new", {}, writing(20))
    assert names(tmp_path) == ["new", "checked"]


@pytest.mark.parametrize("size", [50, 51, 100])
def test_a_result_may_take_all_the_room_there_is(tmp_path, size):
    assert Cache(tmp_path, 100).get("features", "new", {}, writing(size)).is_dir()
    assert names(tmp_path) == ["new"]


def test_a_key_depends_on_every_part_and_not_on_their_order():
    key = partial(content_key, files="abc", size=32)
    assert key(form="raw") == content_key(form="raw", size=32, files="abc")
    others = [key(form="jpeg"), key(form="raw", side=3), content_key(files="abc", size="32", form="raw")]
    assert len({key(form="raw"), *others}) == 4


def test_a_cache_is_tagged_so_that_backups_and_data_sets_leave_it_out(cache):
    cache.get("features", "a", {}, writing(1))
    assert (cache.root / "CACHEDIR.TAG").read_text().startswith("Signature: 8a477f597d28d172789f06886806bc55")


@pytest.mark.long
def test_a_process_that_used_a_result_leaves_no_file_open(tmp_path):
    code = (
        "import sys; from pathlib import Path; from imageclf.data.pictures.cache import Cache;"
        "cache = Cache(Path(sys.argv[1]), 10**6);"
        "cache.get('features', 'a', {}, lambda folder: (folder / 'x').touch())"
    )
    command = [sys.executable, "-W", "always::ResourceWarning", "-c", code, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stderr == ""
