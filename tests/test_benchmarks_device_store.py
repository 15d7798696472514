"""The benchmark of pictures on the device, run for real on few of them on the CPU."""

import json
from pathlib import Path

import numpy as np
import pytest
from warm_start import WarmStart

FOLDER = Path(__file__).parents[1] / "benchmarks"
OPTIONS = ["--sizes", "16", "24", "--transforms", "side_on", "--batch-size", "8", "--pictures", "10"]
PARTS = {"draws", "maps", "tables", "host", "torch", "device", "batch", "cpu_path"}


@pytest.mark.long
def test_a_run_ends_with_the_milliseconds_of_every_part(tmp_path: Path, warm_start: WarmStart) -> None:
    done = warm_start.script(FOLDER / "device_store.py", tmp_path, *OPTIONS, "--rounds", "2")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures["device"] == "cpu" and set(figures["sizes"]) == {"16", "24"}
    for found in (each["side_on"] for each in figures["sizes"].values()):
        assert set(found) == {*(f"{part}_ms" for part in PARTS), "gigabytes", "loading_s"}
        assert all(found[f"{part}_ms"] > 0 for part in PARTS)


def test_the_pictures_drawn_are_a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    from device_store import SHAPES, write_pictures

    from imageclf.data.pictures.store import open_store

    stored = write_pictures(tmp_path, 5, side=40, resize="crop")
    read = [open_store(stored).read(row) for row in range(5)]
    assert [picture.shape for picture in read] == [*SHAPES, SHAPES[0]]
    assert {min(picture.pixels.shape[:2]) for picture in read} == {40}
    assert sum(picture.pixels.size for picture in read) == stored.num_bytes
    assert len({np.asarray(picture.pixels).tobytes() for picture in read}) == 5
