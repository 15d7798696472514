"""The tournament: what is hidden, its tables, and two contestants run for real on few pictures."""

import json
from pathlib import Path
from types import ModuleType

import pytest
from warm_start import WarmStart

FOLDER = Path(__file__).parents[1] / "benchmarks"
STAMPS = Path(__file__).parents[1] / "data" / "stamps"


@pytest.fixture
def tournament(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return __import__("tournament")


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Its tables as a module."""
    monkeypatch.syspath_prepend(str(FOLDER))
    return __import__("tournament_tables")


def names(folder: Path) -> set[str]:
    """Return the files of class folders."""
    found = {str(path.relative_to(folder)) for path in folder.glob("*/*")}
    assert found
    return found


def test_no_hidden_picture_is_trained_on(tournament: ModuleType, tmp_path: Path) -> None:
    arena = tournament.hide(STAMPS, tmp_path / "arena", 0, "all")
    trained, hidden = names(arena / "train"), names(arena / "hidden")
    assert not trained & hidden
    assert trained | hidden == {name for name in names(STAMPS) if name.endswith(".jpg")}


def test_few_pictures_are_ten_of_a_class_and_hide_what_all_hide(
    tournament: ModuleType, tmp_path: Path
) -> None:
    every, few = (tournament.hide(STAMPS, tmp_path / shots, 0, shots) for shots in ("all", "few"))
    assert names(few / "hidden") == names(every / "hidden")
    assert names(few / "train") < names(every / "train")
    assert all(len(list(label.iterdir())) == 10 for label in (few / "train").iterdir())


def test_another_seed_hides_other_pictures(tournament: ModuleType, tmp_path: Path) -> None:
    first, second = (tournament.hide(STAMPS, tmp_path / str(seed), seed, "all") for seed in (0, 1))
    assert names(first / "hidden") != names(second / "hidden")


def test_the_difference_is_that_of_accuracies_and_its_error_that_of_pairs(tables: ModuleType) -> None:
    first = tables.Cell("set", "all", "first", [[1, 1, 1, 0], [1, 1, 0, 0]], [1.0, 1.0])
    second = tables.Cell("set", "all", "second", [[1, 0, 1, 0], [1, 0, 0, 0]], [1.0, 1.0])
    gap = tables.difference(first, second)
    assert gap.mean == pytest.approx(first.accuracy - second.accuracy) == pytest.approx(0.25)
    # Two of eight pairs differ by 1: the standard deviation of the mean of (1, 1, 0, 0, 0, 0, 0, 0).
    assert gap.error == pytest.approx((2 * 0.75**2 + 6 * 0.25**2) ** 0.5 / 7**0.5 / 8**0.5)


def test_the_best_of_every_set_has_no_regret_and_rank_one(tables: ModuleType) -> None:
    cells = [
        tables.Cell(name, "all", contestant, [right], [2.0])
        for name in ("digits", "stamps")
        for contestant, right in {"good": [1, 1], "bad": [1, 0]}.items()
    ]
    found = tables.overall(cells)
    assert found["good"] == {"error": 0.0, "rank": 1.0, "regret": 0.0, "seconds": 2.0}
    assert found["bad"] == {"error": 0.5, "rank": 2.0, "regret": 0.5, "seconds": 2.0}


def test_results_are_read_as_they_were_added(tournament: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "docs" / "results.csv"
    assert tournament.read_results(file) == {}
    rows = {
        "few-0-probe": {"right": [1, 0, 1], "seconds": 2.5},
        "few-1-probe": {"right": [0], "seconds": 1.0},
    }
    for name, row in rows.items():
        tournament.add_result(file, name, row)
    assert tournament.read_results(file) == rows


@pytest.mark.long
def test_contestants_meet_once_and_their_tables_are_written(tmp_path: Path, warm_start: WarmStart) -> None:
    page = tmp_path / "tournament.md"
    options = [str(tmp_path / "runs"), "--sets", "digits", "--shots", "few", "--seeds", "1", "--size", "32"]
    options += ["--only", "probe", "timm", "--epochs", "1", "--write", str(page)]
    done = warm_start.script(FOLDER / "tournament.py", tmp_path, *options)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures.keys() == {"digits, few, probe", "digits, few, timm"}
    # Guessing has one of ten right.
    assert figures["digits, few, probe"] > 0.4
    assert "| digits | few | no |" in page.read_text(encoding="utf-8")
    results = (tmp_path / "runs/results.csv").read_text(encoding="utf-8")
    assert len(results.splitlines()) == 2
    again = warm_start.script(FOLDER / "tournament.py", tmp_path, *options)
    assert json.loads(again.stdout.splitlines()[-1]) == figures
    assert (tmp_path / "runs/results.csv").read_text(encoding="utf-8") == results
