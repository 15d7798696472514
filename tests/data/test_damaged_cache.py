"""A kept result that was damaged on disk is noticed, reported, and built anew."""

import json
from pathlib import Path

import numpy as np
import pytest
from cache_jobs import AMPLE, fill, keep_store, run, writing
from PIL import Image
from presets import caching, noise

from imageclf.data.pictures import checksums
from imageclf.data.pictures.cache import Cache, entries
from imageclf.data.pictures.store import open_store


def cut(path):
    """Lose the second half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path):
    """Lose the content of a file."""
    path.write_bytes(b"")


def flip(path):
    """Flip a bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def double(path):
    """Write a file's content twice."""
    path.write_bytes(2 * path.read_bytes())


HARM = [cut, empty, flip, double, Path.unlink]


@pytest.fixture
def paths(tmp_path):
    """Write four pictures."""
    for index in range(4):
        Image.fromarray(noise(40, 50, seed=index)).save(tmp_path / f"{index}.png")
    return [str(tmp_path / f"{index}.png") for index in range(4)]


@pytest.mark.parametrize("name", ["pixels.bin", "index.npy"])
@pytest.mark.parametrize("harm", HARM)
@pytest.mark.fault(
    "Caches",
    "A store of shrunk pictures is cut, emptied, or has a flipped bit",
    "It is found, said in a line, and built anew",
)
def test_a_damaged_store_is_built_anew(paths, tmp_path, caplog, harm, name):
    run(keep_store, tmp_path / "cache", paths)
    (entry,) = entries(tmp_path / "cache")
    whole = (entry.folder / name).read_bytes()
    harm(entry.folder / name)
    stored = caching(tmp_path / "cache").stores(paths, {32: 64}, "crop")[32]
    assert (stored.folder / name).read_bytes() == whole
    assert open_store(stored).read(3).pixels.shape == (40, 50, 3)
    assert f"{entry.folder} is damaged ({name}" in caplog.text


@pytest.mark.parametrize("harm", [cut, empty, double])
def test_a_result_that_says_nothing_readable_of_itself_is_built_anew(tmp_path, caplog, harm):
    run(fill, tmp_path, {"key": 10})
    harm(tmp_path / "features" / "key" / "about.json")
    folder = Cache(tmp_path, AMPLE).get("features", "key", {"size": 3}, writing(10))
    assert (folder / "content.bin").read_bytes() == bytes(10)
    assert [entry.about for entry in entries(tmp_path)] == [{"size": 3}]
    assert "about.json cannot be read" in caplog.text


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{}",
        "null",
        '{"files": 3}',
        '{"files": {"content.bin": 3}}',
        '{"files": {"content.bin": ["x", 0]}}',
    ],
)
def test_what_is_no_description_of_a_result_is_damage(tmp_path, content):
    run(fill, tmp_path, {"key": 10})
    (tmp_path / "features" / "key" / "about.json").write_text(content)
    assert Cache(tmp_path, AMPLE).find("features", "key") is None


def test_a_damaged_result_is_listed_so_that_it_can_be_removed(tmp_path):
    run(fill, tmp_path, {"key": 10})
    empty(tmp_path / "features" / "key" / "about.json")
    assert [(entry.about, entry.size) for entry in entries(tmp_path)] == [({"state": "damaged"}, 10)]


def test_a_whole_result_is_read_through_once_a_process(tmp_path, monkeypatch):
    run(fill, tmp_path, {"key": 10})
    read = []
    monkeypatch.setattr(checksums, "_crc", lambda path: read.append(path.name) or 0)
    about = tmp_path / "features" / "key" / "about.json"
    about.write_text(json.dumps({"files": {"content.bin": [10, 0]}}))
    for _ in range(2):
        assert Cache(tmp_path, AMPLE).find("features", "key") is not None
    assert read == ["content.bin"]


def test_of_a_large_result_only_the_sizes_are_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(checksums, "_READ_ALL_UP_TO", 9)
    run(fill, tmp_path, {"key": 10})
    flip(tmp_path / "features" / "key" / "content.bin")
    assert Cache(tmp_path, AMPLE).find("features", "key") is not None


def test_checksums_are_those_of_the_files(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(3))
    (tmp_path / "b.bin").write_bytes(b"123456789")
    found = checksums.checksums(tmp_path)
    # The check value that the definition of CRC-32 gives for these nine bytes.
    assert found["b.bin"] == [9, 0xCBF43926] and list(found) == ["a.npy", "b.bin"]
