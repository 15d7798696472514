"""The benchmarks of the data path, run for real on few pictures."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

FOLDER = Path(__file__).parents[1] / "benchmarks"
OPTIONS = ["--sizes", "32", "--rounds", "1", "--batch-size", "16"]
INSTALLED = [name for name in ("torchvision", "timm", "fastai") if find_spec(name)]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first run draws its pictures."""
    return tmp_path_factory.mktemp("pictures") / "drawn"


@pytest.fixture
def loader(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return __import__("loader")


def pixels(path: Path) -> tuple[int, ...]:
    """Return the shape of a picture."""
    with Image.open(path) as picture:
        return np.asarray(picture).shape


def run(*options: str, script: str = "loader") -> dict[str, Any]:
    command = [sys.executable, str(FOLDER / f"{script}.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def check(figures: dict[str, Any], names: set[str]) -> None:
    result = figures["sizes"]["32"]
    rates = {name: row["images_per_second"] for name, row in result["loaders"].items()}
    assert rates.keys() == names
    for row in result["loaders"].values():
        assert 0 < row["lowest"] <= row["images_per_second"] <= row["highest"]
        assert row["memory_mib"] > 10
    peers = {name: rate for name, rate in rates.items() if not name.startswith("imageclf")}
    assert peers[result["fastest_peer"]] == max(peers.values())
    for name, ratio in result["ratio_to_fastest_peer"].items():
        assert ratio == pytest.approx(rates[name] / max(peers.values()), abs=0.001)
    assert result["ratio_to_fastest_peer"].keys() == names - peers.keys() != set()


@pytest.mark.long
def test_a_run_draws_pictures_and_ends_with_its_figures(pictures: Path) -> None:
    figures = run(
        *OPTIONS,
        *("--pictures", str(pictures), "--num-pictures", "70", "--workers", "0"),
        *("--cache", "none", "--peers", "timm"),
    )
    check(figures, {"imageclf none", "timm"})
    assert figures["pictures"] == len(list(pictures.glob("class*/*.jpg"))) == 70
    assert 60 < figures["mean_kilobytes"] < 110


@pytest.mark.long
def test_all_loaders_run_on_some_of_the_pictures_that_are_there(loader: ModuleType, tmp_path: Path) -> None:
    loader.draw_pictures(tmp_path / "drawn", 70)
    figures = run(*OPTIONS, "--pictures", str(tmp_path / "drawn"), "--images", "50", "--workers", "1")
    names = [entry.name for name in INSTALLED for entry in loader.PEERS[name]]
    check(figures, {*names, *(f"imageclf {cache}" for cache in loader.CACHES)})
    assert figures["pictures"] == 50


@pytest.mark.long
def test_a_first_start_is_timed_on_each_number_of_cores(pictures: Path, tmp_path: Path) -> None:
    options = ("--pictures", str(pictures), "--num-pictures", "70", "--sizes", "64", "32")
    figures = run(
        *options, "--rounds", "1", "--cores", "1", "--cache-dir", str(tmp_path), script="first_start"
    )
    assert (figures["pictures"], figures["rounds"], figures["sizes"]) == (70, 1, [64, 32])
    start = figures["cores"]["1"]
    assert start["seconds"] == pytest.approx(70 / start["images_per_second"], abs=0.01)
    assert len(start["ratios_per_core"]) == 1 and start["ratio_per_core"] > 0
    assert start["memory_mib"] > 10
    assert list(tmp_path.iterdir()) == []


def test_the_pictures_are_of_both_orientations_and_the_same_from_the_same_seed(
    loader: ModuleType, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        loader.draw_pictures(tmp_path / name, 12)
    drawn = loader.find_pictures(tmp_path / "one")
    assert [path.read_bytes() for path in drawn] == [
        path.read_bytes() for path in loader.find_pictures(tmp_path / "two")
    ]
    assert {height > width for height, width, _ in map(pixels, drawn)} == {True, False}


def test_a_peer_that_is_missing_is_said_with_what_brings_it(
    loader: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "fastai", None)
    assert list(loader._installed(["timm", "fastai"])) == ["timm"]
    assert "fastai is not installed" in (said := capsys.readouterr().err)
    assert "pip install 'imageclf[bench]'" in said


def test_ratios_are_left_out_without_a_peer(loader: ModuleType) -> None:
    none = {"fastest_peer": None, "ratio_to_fastest_peer": {}}
    assert loader._ratios({"imageclf none": {"images_per_second": 5.0}}) == none
