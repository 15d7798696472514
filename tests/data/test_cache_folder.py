"""A cache folder that cannot be used is said by data.cache_dir, whatever is wrong with it."""

import os
import tempfile
from pathlib import Path

import pytest
from cache_jobs import (
    AMPLE,
    fill,
    get_as_nobody,
    get_with_small_files,
    hold_as_nobody,
    run,
    used_elsewhere,
    writing,
)

from imageclf import InputError
from imageclf.data.pictures.cache import Cache, entries, remove


def test_a_cache_that_is_a_file_is_refused_by_its_key(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=rf"^data\.cache_dir={tmp_path}/file: .*data\.cache=none"):
        Cache(tmp_path / "file", AMPLE).get("features", "key", {}, writing(10))


@pytest.fixture
def open_folder():
    """Make a folder that every user may enter and write to; those of pytest are its user's own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become another user")
@pytest.mark.parametrize("made", ["", "cache", "cache/features"])
@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_a_cache_that_may_not_be_written_is_refused_by_its_key(open_folder, made, mode):
    root = open_folder / "closed" / "cache"
    (open_folder / "closed" / made).mkdir(parents=True)
    (open_folder / "closed").chmod(mode)
    about = open_folder / "mistake.txt"
    run(get_as_nobody, root, str(about))
    assert about.read_text().startswith(f"InputError: data.cache_dir={root}: Permission denied")


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become another user")
def test_what_a_user_reads_who_may_not_write_there_is_not_removed(open_folder):
    run(fill, open_folder, {"key": 10})
    (result,) = entries(open_folder)
    open_folder.chmod(0o755)
    with used_elsewhere(open_folder, "key", hold_as_nobody):
        assert not remove(result)
    assert remove(result)


def test_a_full_disk_is_said_by_the_key_and_leaves_nothing(tmp_path):
    about = tmp_path / "mistake.txt"
    run(get_with_small_files, tmp_path, str(about))
    assert about.read_text().startswith(
        f"InputError: data.cache_dir={tmp_path}: File too large; free some space"
    )
    assert list(entries(tmp_path)) == [] and list(tmp_path.glob("features/.*.tmp")) == []
