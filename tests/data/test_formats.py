"""Which files are opened as pictures: regular files of few formats, by their content."""

import os
import re
import socket
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imageclf import InputError
from imageclf.data.pictures.decode import FORMATS, open_picture, read_picture
from imageclf.data.pictures.inspect import inspect_picture
from imageclf.report.thumbnails import thumbnail_uri

SOURCE = Path(__file__).parents[2] / "src" / "imageclf"
PIXELS = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)


@pytest.mark.parametrize("form", [*FORMATS, "MPO"])
def test_a_format_of_the_list_is_read(form, tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", form)
    assert read_picture(tmp_path / "a.jpg").shape == (16, 16, 3)


@pytest.mark.parametrize("form", ["EPS", "PDF", "ICO", "TGA", "PCX", "SGI", "DDS", "ICNS", "JPEG2000"])
def test_another_format_is_no_picture_whatever_its_suffix(form, tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", form)
    with pytest.raises(InputError, match=r"a\.jpg: not a picture"):
        read_picture(tmp_path / "a.jpg")
    assert inspect_picture(str(tmp_path / "a.jpg")).format == ""
    assert thumbnail_uri(tmp_path / "a.jpg") is None


@pytest.mark.fault(
    "Pictures",
    "PostScript is called `.jpg`",
    "It is refused; Ghostscript, which would run it, is never started",
)
def test_postscript_never_reaches_ghostscript(tmp_path, monkeypatch):
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path}/canary\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    Image.fromarray(PIXELS).save(tmp_path / "a.jpg", "EPS")
    with pytest.raises(InputError):
        read_picture(tmp_path / "a.jpg")
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "device", "link to a pipe"])
@pytest.mark.fault(
    "Pictures",
    "A pipe, socket, device or folder is called `.jpg`",
    "It is refused by its kind, without being opened",
)
def test_what_is_no_file_is_refused_without_waiting(kind, tmp_path):
    path, other = tmp_path / "a.jpg", tmp_path / "other"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(path))
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        os.mkfifo(other)
        path.symlink_to(other)
    began = time.monotonic()
    with pytest.raises(InputError, match="not a file"):
        read_picture(path)
    assert inspect_picture(str(path)).fault == (
        "it is a folder, not a file" if kind == "folder" else "it is a pipe, a socket or a device, not a file"
    )
    assert thumbnail_uri(path) is None
    assert time.monotonic() - began < 2


def test_a_link_to_a_picture_is_read(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "a.png")
    with open_picture(tmp_path / "b.png") as picture:
        assert picture.format == "PNG"


def test_every_place_that_opens_pictures_says_which_formats():
    calls = [
        (path.name, call)
        for path in SOURCE.rglob("*.py")
        for call in re.findall(r"Image\.open\(.*", path.read_text(encoding="utf-8"))
    ]
    assert len(calls) >= 2
    assert [call for call in calls if "formats=" not in call[1]] == []
