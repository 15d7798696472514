"""imageclf-collect over real runs."""

import io
import shutil
import threading

import pandas as pd
import pytest
from rich.console import Console

from imageclf import InputError
from imageclf.commands.collect import (
    CollectOptions,
    collect,
    fitting,
    optimized_metric,
    terminal_tables,
    write_files,
)
from imageclf.report.runs_numbers import Column


@pytest.fixture
def root(finished_run, tmp_path):
    """Return a folder of three runs with other seeds, one of them without an end."""
    for number in range(3):
        run = tmp_path / "runs" / "sweep" / str(number)
        shutil.copytree(finished_run, run)
        config = (run / "config.yaml").read_text()
        assert "seed: 42\n" in config
        (run / "config.yaml").write_text(config.replace("\nseed: 42\n", f"\nseed: {number}\n"))
    (tmp_path / "runs" / "sweep" / "1" / "summary.json").unlink()
    return tmp_path / "runs"


def collected(root, sort=None):
    return collect(CollectOptions(root=str(root), sort=sort, out=None))


def test_the_files_are_written(root, tmp_path):
    page = write_files(collected(root), tmp_path / "out")
    assert page == tmp_path / "out" / "collect.html"
    table = pd.read_csv(tmp_path / "out" / "collect.csv")
    assert sorted(table["run"]) == ["sweep/0", "sweep/1", "sweep/2"]
    assert sorted(table["status"]) == ["finished", "finished", "running"]
    assert sorted(table["seed"]) == [0, 1, 2]


def test_only_what_differs_is_a_column(root):
    columns = list(collected(root).table.columns)
    assert columns[:4] == ["run", "status", "seed", "val/acc"]
    assert not [name for name in columns if name.startswith(("data.", "model.", "schedule."))]


def test_the_runs_are_sorted_by_any_column(root):
    assert list(collected(root, "seed").table["seed"]) == ["0", "1", "2"]


def test_the_records_have_the_order_of_the_table(root):
    runs = collected(root, "val/loss")
    assert [run.name for run in runs.records] == list(runs.table["run"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"root": "nowhere"}, "root=nowhere: there is no such folder"),
        ({"root": "."}, "root=. holds no run"),
    ],
)
def test_a_root_without_runs_is_refused(given, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as refused:
        collect(CollectOptions(sort=None, out=None, **given))
    assert str(refused.value).startswith(said)


def test_the_metric_that_most_runs_optimise_orders_them(root):
    assert optimized_metric(collected(root).records) == "val/acc"


def test_the_terminal_shows_a_row_per_run(root):
    console = Console(width=200, file=io.StringIO())
    for table in terminal_tables(collected(root), 200):
        console.print(table)
    text = console.file.getvalue()
    assert [text.count(f"sweep/{number} ") for number in range(3)] == [1, 1, 1]


def columns(**ranks: int) -> list[Column]:
    return [Column(name, name, False, rank, ["x" * 7]) for name, rank in ranks.items()]


@pytest.mark.parametrize(
    ("width", "kept"),
    [(100, "abcd"), (41, "abcd"), (40, "abc"), (31, "abc"), (30, "ab"), (20, "a"), (5, "a")],
)
def test_what_does_not_fit_is_left_out_by_its_rank(width, kept):
    found = fitting(columns(a=0, b=1, c=1, d=2), width)
    assert "".join(column.name for column in found) == kept


def test_runs_can_be_collected_while_their_files_change(root, finished_run, tmp_path):
    run, stop = root / "sweep" / "1", threading.Event()
    metrics = (finished_run / "metrics.csv").read_text()

    def write() -> None:
        while not stop.is_set():
            for end in range(0, len(metrics), 7):
                # Worse than a run, which renames complete files.
                (run / "metrics.csv").write_text(metrics[:end])
            (run / "metrics.csv").unlink()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        found = [collected(root) for _ in range(20)]
    finally:
        stop.set()
        writer.join()
    assert {len(runs.table) for runs in found} == {3}
    assert write_files(found[-1], tmp_path / "out").exists()
