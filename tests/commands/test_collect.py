"""imageclf-collect over real runs."""

import io
import json
import re
import shutil
import threading
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from imageclf import InputError
from imageclf.commands.collect import (
    CollectOptions,
    causes,
    collect,
    fitting,
    optimized_metric,
    terminal_tables,
    write_files,
)
from imageclf.report.runs_numbers import Column
from imageclf.report.runs_page import refused_sentence


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


def test_files_of_groups_that_are_no_more_are_removed_and_named(root, caplog):
    caplog.set_level("INFO")
    write_files(collected(root), root)
    stale = {"seeds.csv", "oof-2.csv", "thresholds-2.json"}
    for name in ("oof-2.csv", "thresholds-2.json", "oof-mine.csv"):
        (root / name).touch()
    shutil.rmtree(root / "sweep" / "0")
    assert (root / "seeds.csv").exists()
    write_files(collected(root), root)
    assert {path.name for path in root.iterdir()} == {"sweep", "oof-mine.csv", "collect.csv", "collect.html"}
    assert all(name in caplog.messages[-1] for name in stale)


def test_what_lies_beside_no_page_of_ours_stays(root):
    (root / "thresholds.json").touch()
    write_files(collected(root), root)
    assert (root / "thresholds.json").exists()


def test_only_what_differs_is_a_column(root):
    columns = list(collected(root).table.columns)
    assert columns[:4] == ["run", "status", "seed", "model/acc"]
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
        # Unlike a folder without permission, it is closed to root as well.
        ({"root": "loop"}, "root=loop: it cannot be read (Too many levels of symbolic links)"),
    ],
)
def test_a_root_without_runs_is_refused(given, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
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


def test_the_runs_of_each_data_set_are_a_table_of_their_own(root):
    config = root / "sweep" / "1" / "config.yaml"
    config.write_text(re.sub(r"\n  root: .*\n", "\n  root: /data/other\n", config.read_text()))
    tables = terminal_tables(collected(root), 200)
    titles = [str(table.title) for table in tables]
    assert titles[1] == "1 run on other, ranked by val/acc"
    assert titles[0].startswith("2 runs on ")
    heads = [str(column.header) for column in tables[0].columns]
    assert heads[:5] == ["run", "status", "model/acc", "val/acc", "seed"]
    assert not {"root", "data", "data set"} & set(heads)


def test_folders_of_other_commands_are_counted_and_not_named(root, caplog):
    for name, command in (("plan", "plan"), ("killed", "train")):
        folder = root / name / ".hydra"
        folder.mkdir(parents=True)
        (folder / "hydra.yaml").write_text(f"hydra: {{job: {{config_name: {command}}}}}\n")
    with caplog.at_level("INFO"):
        runs = collected(root)
    assert (list(runs.left_out), runs.num_others) == (["killed"], 1)
    assert "1 folder of another command is left out" in caplog.messages


def refuse(run, cause="data.sise: there is no such key"):
    """Write what a run leaves that a mistake ends before it begins."""
    (run / ".hydra").mkdir(parents=True)
    raw = "data: {sise: 64}\nschedule: {phases: {head: {epochs: '${epochs}'}}}\n"
    (run / ".hydra" / "config.yaml").write_text(raw)
    (run / "failed.json").write_text(json.dumps({"status": "input", "cause": cause}))


def test_runs_that_a_mistake_ended_before_they_began_are_named_in_a_line_and_not_in_the_table(root, caplog):
    before = list(collected(root).table.columns)
    for number in range(5):
        refuse(root / f"typo-{number}")
    runs = collected(root)
    assert list(runs.table.columns) == before and len(runs.table) == 3
    assert refused_sentence(runs.refused) == (
        "5 runs ended by a mistake before they began: typo-4 and 4 more (data.sise: there is no such key)"
    )
    assert not caplog.messages and not causes(runs)


def test_a_job_of_a_sweep_that_a_mistake_ended_stays_in_the_table_with_its_cause(root):
    (root / "sweep" / "multirun.yaml").touch()
    refuse(root / "sweep" / "3")
    runs = collected(root)
    assert causes(runs) == ["sweep/3 (not started): data.sise: there is no such key"]
    assert not runs.refused
    assert "data.sise" not in runs.table


def test_a_folder_of_mistakes_alone_is_refused_with_their_causes(tmp_path):
    refuse(tmp_path / "typo")
    with pytest.raises(InputError, match=r"1 run ended by .* it began: typo \(data\.sise: there is no such"):
        collected(tmp_path)


def test_the_command_names_the_runs_that_did_not_begin(root, command):
    refuse(root / "typo")
    outcome = command("collect", f"root={root}")
    assert "1 run ended by a mistake before it began: typo (data.sise: there is no such key)" in outcome.out
    assert "<h2>Not started</h2>" in (root / "collect.html").read_text("utf-8")


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
