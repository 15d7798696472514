"""Where the cache is: named, the user's, or among the temporary files where a container has no home."""

import logging
import os
import subprocess
import sys
import tempfile

import pytest

from imageclf import InputError
from imageclf.data.pictures import cache_root as module
from imageclf.data.pictures.cache_root import cache_root


@pytest.fixture(autouse=True)
def own_temporaries(tmp_path, monkeypatch):
    """Put temporary files into the test's folder, and forget the folder that was found before."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    module._temporary.cache_clear()
    yield
    module._temporary.cache_clear()


@pytest.mark.parametrize(("variable", "below"), [("XDG_CACHE_HOME", "imageclf"), ("HOME", ".cache/imageclf")])
def test_the_default_folder_is_that_of_the_desktop_standard(tmp_path, monkeypatch, variable, below):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    assert cache_root(None) == tmp_path / below


def test_a_folder_that_is_named_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cache_root("mine") == tmp_path / "mine"


@pytest.mark.fault(
    "Terminals, paths and networks",
    "A container has no home, or none to write to",
    "The cache is among the temporary files, and that is said",
)
# Nothing can be made below a device.
@pytest.mark.parametrize("home", ["/dev/null", "/proc/self/nothing"])
def test_without_a_home_to_write_to_it_is_among_the_temporary_files_which_is_said(
    tmp_path, monkeypatch, caplog, home
):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", home)
    with caplog.at_level(logging.WARNING):
        root = cache_root(None)
        cache_root(None)
    assert root == tmp_path / "temporary" / f"imageclf-{os.getuid()}"
    assert root.stat().st_mode & 0o777 == 0o700
    said = [each for each in caplog.messages if "data.cache_dir" in each]
    assert said == [
        f"the cache cannot be made in {home}/.cache/imageclf, and is in {root}; data.cache_dir chooses"
    ]


def test_a_folder_that_another_user_may_have_placed_there_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    (tmp_path / "temporary" / f"imageclf-{os.getuid()}").symlink_to(tmp_path)
    with pytest.raises(InputError, match=r"is another user's: give data\.cache_dir=FOLDER"):
        cache_root(None)


@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become a user without a name")
def test_a_user_without_a_name_and_a_home_has_a_cache(tmp_path):
    code = (
        "import os, tempfile; from imageclf.data.pictures.cache_root import cache_root;"
        "os.environ.pop('HOME', None); os.environ.pop('XDG_CACHE_HOME', None);"
        "tempfile.tempdir = '/tmp'; os.setuid(12345); print(cache_root(None))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "/tmp/imageclf-12345\n"), done.stderr
