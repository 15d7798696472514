"""The page about many runs."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
from run_records import fold, record

from imageclf.analysis.folds import find_folds, find_seeds
from imageclf.analysis.runs_table import run_table
from imageclf.report.plots.curves import COLOURS, colours, runs_figure
from imageclf.report.runs_numbers import run_columns, status_words
from imageclf.report.runs_page import Runs, refused_sentence, write_runs_report


def runs_of(records, sort="val/acc", left_out=None) -> Runs:
    table = run_table(records, sort)
    return Runs("/data/runs", sort, records, table, find_folds(records), find_seeds(records), left_out or {})


@pytest.fixture
def page(tmp_path):
    """Return a function that writes the page of some runs and reads it."""
    return lambda records: write_runs_report(runs_of(records), tmp_path / "collect.html").read_text("utf-8")


def test_forty_runs_are_forty_rows(page):
    text = page([record(f"sweep/{number}", {"seed": number}) for number in range(40)])
    assert len(re.findall(r'class="status finished"', text)) == 40


def test_the_page_needs_no_network_and_no_script(page):
    text = page([record("a", accuracies=(0.5, 0.6)), record("b")])
    assert text.count("<svg") == 2
    assert not re.findall(r"(?:src|href)=[\"'](?:https?:)?//|<script", text)


def test_what_failed_is_told_with_its_cause_as_text(page):
    text = page([record("a", status="failed", cause="<b>out of memory</b>", summary={})])
    assert "&lt;b&gt;out of memory&lt;/b&gt;" in text
    assert "<b>out" not in text


def test_a_run_links_to_its_own_report_relative_to_the_page(page, tmp_path):
    text = page([record("a", report=str(tmp_path / "my run" / "report.html"))])
    assert 'href="my%20run/report.html"' in text


def test_runs_before_their_first_epoch_make_a_page_without_curves(page):
    text = page([record("a", status="running", summary={}, metrics=pd.DataFrame(), epochs=None)])
    assert "<svg" not in text
    assert "running" in text


def test_folds_are_summed_up_on_the_page(page):
    shares = np.array([[0.9, 0.1], [0.6, 0.4]])
    text = page([fold(number, shares, ["cat", "dog"]) for number in range(3)])
    assert "Cross-validation" in text
    assert "50.00 % ± 0.00 %" in text


def test_the_best_six_runs_have_a_colour_each_and_the_others_share_one():
    chosen = list(colours([str(number) for number in range(9)]).values())
    assert chosen[:6] == list(COLOURS)
    assert len(set(chosen)) == 7


def test_a_curve_is_drawn_per_run_in_its_colour():
    records = [record(str(number), accuracies=(0.1 * number, 0.5)) for number in range(8)]
    chosen = colours([run.name for run in records])
    axes = runs_figure({run.name: run.metrics for run in records}, "val/acc", chosen).axes[0]
    lines = [line for line in axes.lines if len(line.get_xdata()) == 2 and line.get_marker() == "o"]
    assert [line.get_color() for line in reversed(lines)] == list(chosen.values())
    assert lines[-1].get_ydata().tolist() == [0.0, 0.5]


def test_columns_show_settings_under_short_names_and_progress():
    records = [record(str(size), {"data": {"size": size}}, accuracies=(0.5,)) for size in (64, 96)]
    columns = run_columns(run_table(records, "val/acc"), ["data.size"], "val/acc")
    shown = {column.title: column.cells for column in columns}
    assert shown["size"] == ["64", "96"]
    assert shown["epochs"] == ["1/1", "1/1"]
    assert shown["time"] == ["1 min 00 s", "1 min 00 s"]
    assert [column.title for column in columns][:3] == ["run", "status", "val/acc"]


def test_what_only_runs_on_another_data_set_have_is_no_column():
    pets = {"data": {"root": "pets"}, "tags": ["old"]}
    with_test = {"val/acc": 0.5, "test/acc": 0.5}
    runs = runs_of([record("a", {"data": {"root": "x"}}), record("b", pets, summary=with_test)])
    titles = [{column.title for column in runs.columns([place])} for place in (0, 1)]
    assert titles[1] - titles[0] == {"tags", "test/acc"}


def test_the_reported_model_stands_before_the_score_that_ranks(tmp_path):
    summary = {"val/acc": 0.5, "val/acc_best": 0.75, "model/acc": 0.75}
    runs = runs_of([record("a", summary=summary)])
    titles = [column.title for column in runs.columns([0])]
    assert titles[:4] == ["run", "status", "model/acc", "val/acc"]
    assert "best candidate" in titles
    text = write_runs_report(runs, tmp_path / "collect.html").read_text("utf-8")
    assert "ranked by <code>val/acc</code>" in text
    assert "a; its reported model: 75.00 %" in text


def test_a_run_that_a_mistake_ended_is_not_started_or_failed():
    empty = {"summary": {}, "metrics": pd.DataFrame()}
    table = run_table([record("a", status="input", **empty), record("b", status="input")], "val/acc")
    assert status_words(table) == ["not started", "failed"]


def test_of_many_different_mistakes_a_few_are_told_and_the_rest_is_counted():
    said = refused_sentence({str(number): f"key{number}: no" for number in range(9)})
    assert said.startswith(
        "9 runs ended by a mistake before they began: 0 (key0: no), 1 (key1: no), 2 (key2: no)"
    )
    assert said.endswith(", and 6 more, named in collect.html")


def test_folders_of_other_commands_are_counted_on_the_page(tmp_path):
    runs = dataclasses.replace(runs_of([record("a")]), num_others=17)
    text = write_runs_report(runs, tmp_path / "collect.html").read_text("utf-8")
    assert "17 folders of other commands are left out" in text


@pytest.mark.parametrize(("sort", "title"), [("val/acc", "Best val/acc"), ("seed", None)])
def test_only_a_score_has_a_best_run(sort, title, tmp_path):
    records = [record(str(seed), {"seed": seed}, accuracies=(0.5,)) for seed in (1, 2)]
    text = write_runs_report(runs_of(records, sort), tmp_path / "collect.html").read_text("utf-8")
    assert re.findall(r"Best \S+(?=</div>)", text) == ([title] if title else [])


def test_runs_on_several_data_sets_stand_apart_each_with_its_best(page):
    roots = {"a": "/data/cats", "b": "/data/dogs", "c": "/data/cats"}
    text = page([record(name, {"data": {"root": root}}) for name, root in roots.items()])
    assert [each.strip() for each in re.findall(r"<h2>(\w+) <small>", text)] == ["cats", "dogs"]
    assert re.findall(r"Best val/acc (\w+)", text) == ["cats", "dogs"]


def test_what_is_left_out_is_named_with_the_reason(tmp_path):
    runs = runs_of([record("a")], left_out={"b": "config.yaml lies alone there"})
    text = write_runs_report(runs, tmp_path / "collect.html").read_text("utf-8")
    assert "config.yaml lies alone there" in text


def test_a_setting_of_a_phase_names_the_phase(page):
    rates = [{"schedule": {"phases": {"head": {"lr": lr}}}} for lr in (0.1, 0.2)]
    text = page([record(str(place), node) for place, node in enumerate(rates)])
    assert 'title="schedule.phases.head.lr">head.<wbr>lr' in "".join(
        line.strip() for line in text.splitlines()
    )


def test_the_mean_over_seeds_is_on_the_page(page):
    assert "Mean over seeds" in page([record(str(seed), {"seed": seed}) for seed in range(2)])
