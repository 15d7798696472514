"""The benchmarks of recipes, steps and validation, run for real on small pictures with a tiny network."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from warm_start import WarmStart

FOLDER = Path(__file__).parents[1] / "benchmarks"
TINY = ("model.backbone=test_resnet", "model.weights=none")
ONE_SET = ("--sets", "digits", "--seeds", "1", "--size", "32")
TIMED = ("overhead", "precompute", "tta")
ROW = {"head": 0.8, "finetune": 0.9, "tta": 0.9, "ensemble": 0.9, "average": 0.9, "soup": 0.9, "best": 0.9}


Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(warm_start: WarmStart, tmp_path: Path) -> Run:
    """Return a function that runs a script with its options, and returns the figures that it ends with."""

    def figures_of(script: str, *options: str) -> dict[str, Any]:
        done = warm_start.script(FOLDER / f"{script}.py", tmp_path, *options)
        assert done.returncode == 0, done.stderr
        figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return figures

    return figures_of


@pytest.fixture
def recipes(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return __import__("recipes")


@pytest.fixture
def sets(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return __import__("sets")


@pytest.mark.parametrize("script", TIMED)
@pytest.mark.long
def test_a_timing_ends_with_the_figures_of_every_round(script: str, run: Run) -> None:
    figures = run(script, "--rounds", "2", "--threads", "1", *TINY, "data.size=32")
    assert figures["rounds"] == 2
    assert len(figures["seconds"]) >= 2
    assert all(seconds > 0 for seconds in figures["seconds"].values())


@pytest.mark.sampled(2)
@pytest.mark.parametrize("name", ["digits", "glyphs"])
def test_a_set_is_the_same_whenever_it_is_drawn(name: str, sets: ModuleType, tmp_path: Path) -> None:
    first, second = (sets.make_set(name, tmp_path / each) for each in ("one", "two"))
    drawn = sorted(path.relative_to(first) for path in first.glob("*/*.png"))
    assert len(drawn) >= 360
    assert all((first / path).read_bytes() == (second / path).read_bytes() for path in drawn)


def test_a_set_that_is_there_is_not_drawn_again(sets: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "digits").mkdir()
    assert sets.make_set("digits", tmp_path) == tmp_path / "digits"
    assert not list((tmp_path / "digits").iterdir())


def test_labels_of_an_idx_file_are_read(sets: ModuleType, tmp_path: Path) -> None:
    import gzip

    path = tmp_path / "two-pictures.gz"
    path.write_bytes(gzip.compress(bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, *range(6)])))
    assert np.array_equal(sets._idx(path), [[[0, 1, 2]], [[3, 4, 5]]])


def test_a_recipe_is_safe_until_it_loses_more_than_a_hundredth(recipes: ModuleType) -> None:
    finals = {0.795: True, 0.785: False}
    for final, safe in finals.items():
        assert recipes.summary([{"head": 0.8, "final": final}])["safe"] is safe


def test_the_table_leaves_out_steps_that_a_recipe_has_not(recipes: ModuleType) -> None:
    table = recipes._table(
        {"digits": {**ROW, "final": 0.9, "dip": 0.02, "steps": 90.0, "seconds": 12.0, "safe": True}}
    )
    assert len({line.count("|") for line in table}) == 1
    assert "+ unfreezing" in table[0]
    assert "+ bigger pictures" not in table[0]
    assert table[2].startswith("| digits | 0.800 | 0.900 |")
    assert table[2].endswith("| 0.020 | yes | 90 | 12 |")


def test_a_dip_is_the_fall_from_one_phase_to_the_first_epoch_of_the_next(recipes: ModuleType) -> None:
    phases, accuracies = ["head"] * 2 + ["tune"] * 2 + ["large"], [0.5, 0.8, 0.6, 0.9, 0.95]
    falls = recipes.dips(pd.DataFrame({"phase": phases, "val/acc": accuracies}))
    assert falls == pytest.approx({"dip/tune": 0.2, "dip/large": -0.05})
    seeds = [{"head": 0.8, "final": 0.9, "dip/tune": fall} for fall in (0.2, -0.1, 0.05)]
    assert recipes.summary(seeds)["dip"] == pytest.approx(0.05)
    assert recipes.summary([{"head": 0.8, "final": 0.9, "dip/tune": -0.1}])["dip"] == 0


@pytest.mark.long
def test_recipes_run_once_and_write_their_table(tmp_path: Path, run: Run) -> None:
    page = tmp_path / "docs" / "recipes.md"
    options = [str(tmp_path / "runs"), *ONE_SET, "--write", str(page)]
    figures = run("recipes", *options, "--overrides", *TINY)
    assert figures.keys() == {"lesson2", "minimal"}
    assert "## schedule=minimal" in page.read_text(encoding="utf-8")
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/summary.json")}
    assert len(stamps) == 2
    assert run("recipes", *options, "--overrides", *TINY) == figures
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())


@pytest.mark.long
def test_found_rates_are_tried_once_and_written_as_tables(tmp_path: Path, run: Run) -> None:
    page = tmp_path / "finder.md"
    options = [str(tmp_path / "runs"), *ONE_SET, "--write", str(page)]
    figures = run("finder", *options)
    assert [row["set"] for row in figures["accuracy"]] == ["digits"]
    assert len(figures["methods"]) == 8
    assert all(row["now"] < 0.05 for row in figures["noise"]) and len(figures["noise"]) == 6
    assert "| digits |" in page.read_text(encoding="utf-8")
    assert len(list(tmp_path.glob("runs/*/*/summary.json"))) == 5


@pytest.mark.long
def test_the_figures_of_the_best_are_held_against_hidden_pictures(tmp_path: Path, run: Run) -> None:
    page = tmp_path / "honest-best.md"
    small = ("--sets", "digits", "--size", "32", "--backbone", "test_resnet", "none", "--splits", "2")
    real = ("--runs", "2", "--overrides", *TINY)
    finished = {"test/acc": 0.5, "val/acc_best": 0.75, "val/acc_best_crossfit": 0.625}
    (tmp_path / "runs" / "run-0").mkdir(parents=True)
    (tmp_path / "runs" / "run-0" / "summary.json").write_text(json.dumps(finished))
    both = run("honest_best", str(tmp_path), *small, *real, "--write", str(page))
    figures = both["digits"]
    assert figures["validation"] == 80
    assert figures["crossfit_bias"] <= figures["best_bias"]
    assert both["runs"]["crossfit_bias"] <= both["runs"]["best_bias"]
    assert "| digits | 80 |" in page.read_text(encoding="utf-8")


@pytest.mark.long
def test_several_labels_are_learned_better_than_by_chance(tmp_path: Path, run: Run) -> None:
    small = ("--mosaics", "60", "--size", "32", "--only", "imageclf", "probe")
    figures = run("multilabel", str(tmp_path), *small, "--overrides", *TINY)
    assert figures.keys() == {"imageclf", "probe"}
    ways = {f"{way}{test}" for way in ("map", "map_tta", "map_reported") for test in ("", "_new")}
    assert figures["imageclf"].keys() == ways | {"seconds"}
    # What is tested by is not even read by the training.
    split = pd.read_csv(tmp_path / "known" / "run" / "split.csv")
    assert len(split) == 48
    # A third of the mosaics have a label.
    assert figures["probe"]["map"] > 0.5


@pytest.mark.long
def test_numbers_are_learned_better_than_by_their_mean(tmp_path: Path, run: Run) -> None:
    figures = run("regression", str(tmp_path), "--pictures", "150", "--size", "48", "--overrides", *TINY)
    assert figures.keys() == {"imageclf", "probe"}
    assert {"hue", "size", "r2", "r2_tta", "r2_reported"} < figures["imageclf"].keys()
    assert figures["probe"]["r2"] > 0


@pytest.mark.long
@pytest.mark.skipif(find_spec("fastai") is None, reason="the peer is not installed")
def test_the_lesson_is_timed_on_a_set_of_the_benchmarks(tmp_path: Path, run: Run) -> None:
    figures = run("lesson", "--sets", "stamps", "--folds", "1", "--size", "32")
    assert {"imageclf", "fastai", "time_ratio"} == figures["stamps"].keys()
    for each in ("imageclf", "fastai"):
        scores = figures["stamps"][each]
        assert scores["tta_gain"] == pytest.approx(scores["accuracy_tta"] - scores["accuracy"], abs=1e-3)


def test_pictures_of_the_sets_are_in_colour(sets: ModuleType, tmp_path: Path) -> None:
    paths = list(sets.make_set("glyphs", tmp_path).glob("*/*"))
    assert len(paths) == 360
    for path in paths[::50]:
        with Image.open(path) as picture:
            assert (picture.mode, picture.size) == ("RGB", (64, 64))


def test_the_page_of_budgets_says_how_far_a_run_was_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    row = {"set": "stamps", "pictures": 204, "size": 64, "budget": 50, "took": 45.5, "epochs": "23 + 2"}
    assert __import__("budget").page([row]).endswith("| stamps | 204 | 64 | 50 s | 46 s | -9% | 23 + 2 |\n")


@pytest.mark.long
def test_each_way_to_choose_is_held_against_hidden_pictures_once(tmp_path: Path, run: Run) -> None:
    page = tmp_path / "choice.md"
    small = ("--sets", "digits", "--seeds", "1", "--size", "32", "--write", str(page))
    options = (str(tmp_path / "runs"), *small, "--overrides", *TINY)
    figures = run("choice", *options)
    assert len(figures) == 6
    assert max(figures.values()) == figures["best on the hidden pictures"]
    assert "| digits | 10 of a class | 20 |" in page.read_text(encoding="utf-8")
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/results/*.json")}
    assert len(stamps) == 2
    assert run("choice", *options) == figures
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
