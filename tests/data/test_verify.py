import logging
import os
import re

import numpy as np
import pytest
from PIL import Image
from presets import caching

from imageclf.data import Caching
from imageclf.data.pictures import shrinking
from imageclf.data.pictures.verify import describe, unreadable


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Keep what was verified in a folder of the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def paths(tmp_path):
    """Write six good pictures."""
    names = [tmp_path / f"{index}.jpg" for index in range(6)]
    for name in names:
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(name)
    return names


@pytest.fixture
def decoded(monkeypatch):
    """Note every file that is decoded, and decode it."""
    noted = []

    def read(path, *how):
        noted.append(path)
        return read_picture(path, *how)

    read_picture = shrinking.read_picture
    monkeypatch.setattr(shrinking, "read_picture", read)
    return noted


DEFAULT = Caching(cache="auto", cache_dir=None, cache_gb=20, fingerprint="stat")


def check(paths, kept=DEFAULT):
    """Return the faults of files, which a table holds as text."""
    return unreadable([str(path) for path in paths], kept)


def cut(path):
    """Cut a file at a half, as a broken download does."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_good_pictures_have_no_faults(paths):
    assert check(paths) == {}


def test_no_pictures_have_no_faults():
    assert check([]) == {}


def test_every_broken_file_is_named_with_its_position(paths):
    cut(paths[1])
    cut(paths[4])
    faults = check(paths)
    assert list(faults) == [1, 4]
    assert [faults[index].startswith(f"{paths[index]}: ") for index in faults] == [True, True]


def test_each_kind_of_fault_is_told_apart(paths):
    cut(paths[0])
    paths[1].write_text("<html>")
    paths[2].unlink()
    faults = "; ".join(check(paths).values())
    assert re.search(
        r"0\.jpg: image file is truncated.*1\.jpg: not a picture.*2\.jpg: there is no such file", faults
    )


def test_pictures_found_whole_are_not_decoded_again(paths, decoded):
    check(paths)
    check(paths)
    assert sorted(decoded) == [str(path) for path in paths]


def test_pictures_are_decoded_again_while_one_is_broken(paths, decoded):
    cut(paths[3])
    assert [list(check(paths)) for _ in range(2)] == [[3], [3]]
    assert len(decoded) == 12


def test_a_mended_set_is_found_whole(paths):
    good = paths[3].read_bytes()
    cut(paths[3])
    check(paths)
    paths[3].write_bytes(good)
    assert check(paths) == {}


def test_a_newer_file_is_decoded_again(paths, decoded):
    check(paths)
    os.utime(paths[2], ns=(10**18, 10**18))
    check(paths)
    assert len(decoded) == 12


@pytest.mark.fault(
    "Pictures", "A picture is damaged after a first run found it whole", "It is decoded again and named"
)
def test_a_file_that_breaks_later_is_found_though_its_time_is_kept(paths):
    check(paths)
    times = paths[2].stat()
    cut(paths[2])
    os.utime(paths[2], ns=(times.st_atime_ns, times.st_mtime_ns))
    assert list(check(paths)) == [2]


@pytest.mark.fault(
    "Pictures", "A picture vanishes after a first run found it whole", "It is named at the start"
)
def test_a_file_that_goes_missing_later_is_found(paths):
    check(paths)
    paths[5].unlink()
    assert list(check(paths)) == [5]


@pytest.mark.parametrize("chosen", [slice(0, 5), slice(None, None, -1)])
def test_another_list_of_files_is_a_set_of_its_own(paths, decoded, chosen):
    check(paths)
    check(paths[chosen])
    assert len(decoded) == 6 + len(paths[chosen])


def test_the_cache_is_where_the_desktop_standard_says(paths, cache):
    check(paths)
    assert len(list(cache.glob("imageclf/verified/*/about.json"))) == 1


def test_without_the_standards_variable_the_cache_is_in_the_home(paths, tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    check(paths)
    assert len(list(tmp_path.glob("home/.cache/imageclf/verified/*/about.json"))) == 1


def test_the_cache_is_where_the_user_says(paths, tmp_path):
    check(paths, caching(tmp_path / "own"))
    assert len(list(tmp_path.glob("own/verified/*/about.json"))) == 1


def test_without_a_cache_every_picture_is_decoded_each_time(paths, decoded, cache, tmp_path):
    for _ in range(2):
        check(paths, caching(tmp_path / "own", cache="none"))
    assert len(decoded) == 12
    assert not cache.exists() and not (tmp_path / "own").exists()


@pytest.mark.parametrize("fingerprint", ["stat", "bytes"])
def test_a_file_is_found_changed_though_size_and_time_are_kept(paths, tmp_path, fingerprint):
    kept = caching(tmp_path / "own", fingerprint=fingerprint)
    check(paths, kept)
    times, content = paths[2].stat(), bytearray(paths[2].read_bytes())
    content[:4] = b"junk"
    paths[2].write_bytes(content)
    os.utime(paths[2], ns=(times.st_atime_ns, times.st_mtime_ns))
    assert list(check(paths, kept)) == [2]


def test_a_picture_of_several_frames_is_said_by_its_name(tmp_path, caplog):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    Image.new("RGB", (8, 8)).save(tmp_path / "still.gif")
    with caplog.at_level(logging.INFO):
        assert check([tmp_path / "moving.gif", tmp_path / "still.gif"]) == {}
    assert "1 picture holds several frames" in caplog.text
    assert "moving.gif" in caplog.text and "still.gif" not in caplog.text


def test_the_preview_that_a_phone_appends_to_a_photo_is_no_frame_whatever_the_suffix(tmp_path, caplog):
    photo, path = Image.new("RGB", (8, 8), "red"), tmp_path / "photo.png"
    photo.save(path, format="MPO", save_all=True, append_images=[photo])
    with caplog.at_level(logging.INFO):
        assert check([path]) == {}
    assert "several frames" not in caplog.text


def test_a_description_counts_and_lists_the_faults():
    assert describe(["a: cut", "b: no"]) == "2 pictures cannot be read: a: cut; b: no"


def test_a_description_stops_after_ten_faults():
    text = describe([f"p{index}" for index in range(13)])
    assert text.startswith("13 pictures cannot be read: ") and text.endswith("p8; p9; and 3 more")
