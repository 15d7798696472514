"""A digest of files changes when the list does, or any file in it."""

import os
from pathlib import Path

import pytest

from imageclf.data.pictures.fingerprint import files_digest

HOWS = ["stat", "bytes"]


@pytest.fixture
def paths(tmp_path):
    """Write forty files of equal sizes and times."""
    paths = [tmp_path / f"{index}.bin" for index in range(40)]
    for index, path in enumerate(paths):
        path.write_bytes(bytes([index]) * 100)
        os.utime(path, ns=(10**18, 10**18))
    return [str(path) for path in paths]


@pytest.fixture(params=HOWS)
def how(request):
    """Go through both ways to tell."""
    return request.param


def test_files_that_stay_keep_their_digest(paths, how):
    assert files_digest(paths, how) == files_digest(list(paths), how)


def test_the_two_ways_never_agree(paths):
    assert files_digest(paths, "stat") != files_digest(paths, "bytes")


@pytest.mark.parametrize(
    "change",
    [
        lambda paths: paths[:-1],
        lambda paths: paths[1:],
        lambda paths: paths[::-1],
        lambda paths: [*paths, paths[0]],
        lambda paths: [paths[1], paths[0], *paths[2:]],
        lambda paths: [],
    ],
)
def test_another_list_has_another_digest(paths, how, change):
    assert files_digest(change(paths), how) != files_digest(paths, how)


@pytest.mark.parametrize("index", [0, 1, 17, 39])
def test_a_longer_file_has_another_digest(paths, how, index):
    before = files_digest(paths, how)
    Path(paths[index]).write_bytes(Path(paths[index]).read_bytes() + b"x")
    os.utime(paths[index], ns=(10**18, 10**18))
    assert files_digest(paths, how) != before


@pytest.mark.parametrize("index", [0, 39])
def test_a_missing_file_has_another_digest(paths, how, index):
    before = files_digest(paths, how)
    Path(paths[index]).unlink()
    assert files_digest(paths, how) != before


def test_a_nanosecond_is_another_time(paths):
    before = files_digest(paths, "stat"), files_digest(paths, "bytes")
    os.utime(paths[5], ns=(10**18, 10**18 + 1))
    assert [files_digest(paths, how) == each for how, each in zip(HOWS, before, strict=True)] == [False, True]


def test_two_files_that_swap_contents_are_found_although_size_and_time_stay(paths, how):
    before = files_digest(paths, how)
    one, other = (Path(path).read_bytes() for path in paths[:2])
    for path, content in zip(paths[:2], (other, one), strict=True):
        Path(path).write_bytes(content)
        os.utime(path, ns=(10**18, 10**18))
    assert files_digest(paths, how) != before


def test_two_files_that_swap_names_are_found_although_size_and_time_stay(paths, how):
    before = files_digest(paths, how)
    one, other = map(Path, paths[:2])
    one.rename(f"{one}.aside")
    other.rename(one)
    Path(f"{one}.aside").rename(other)
    assert files_digest(paths, how) != before


@pytest.mark.parametrize("count", [0, 1, 2, 15, 16, 17, 33])
def test_lists_of_any_length_have_digests_of_their_own(paths, how, count):
    digests = {files_digest(paths[:length], how) for length in range(count + 1)}
    assert len(digests) == count + 1


def test_paths_beyond_ascii_have_digests(tmp_path, how):
    path = tmp_path / "Köter 犬.png"
    path.write_bytes(b"x")
    assert files_digest([str(path)], how) != files_digest([str(tmp_path / "Koter.png")], how)
