"""The table of runs: scores, progress, order."""

import pandas as pd
import pytest
from run_records import record

from imageclf import InputError
from imageclf.analysis import run_table, sort_runs
from imageclf.analysis.runs_table import run_scores


def test_the_scores_of_a_finished_run_are_those_of_its_summary():
    assert run_scores(record(accuracies=(0.9, 0.5))) == {"val/acc": 0.5, "val/acc_best": 0.9}


def test_the_scores_of_a_run_under_way_are_those_of_its_last_epoch():
    running = record(accuracies=(0.9, 0.75), summary={}, status="running")
    assert run_scores(running) == {"val/acc": 0.75, "val/loss": 0.25}


def test_a_run_before_its_first_epoch_has_no_scores():
    assert run_scores(record(summary={}, metrics=pd.DataFrame())) == {}


def test_a_row_says_how_far_a_run_has_come():
    row = run_table([record(accuracies=(0.5, 0.75, 0.75), epochs=9)], "val/acc").iloc[0]
    assert row[["epochs_done", "epochs", "best_epoch", "seconds"]].tolist() == [3, 9, 1, 180.0]


def test_of_a_loss_the_lowest_epoch_is_the_best():
    assert run_table([record(accuracies=(0.5, 0.9, 0.7))], "val/loss")["best_epoch"].tolist() == [1]


def test_labels_that_no_run_has_are_no_columns():
    assert not {"tags", "task_name", "cause"} & set(run_table([record()], "val/acc").columns)


def test_tags_and_causes_are_columns_where_there_are_some():
    runs = [record(config={"tags": ["a", "b"]}), record(status="failed", cause="out of memory")]
    table = run_table(runs, "val/acc")
    assert table["tags"].tolist() == ["a, b", ""]
    assert table["cause"].tolist() == ["", "out of memory"]


@pytest.mark.parametrize(
    ("column", "expected"),
    [("val/acc", ["c", "a", "b"]), ("run", ["a", "b", "c"]), ("seconds", ["b", "a", "c"])],
)
def test_runs_are_sorted_best_first(column, expected):
    runs = [record(name, accuracies=scores) for name, scores in (("a", (0.5, 0.6)), ("b", (0.1,)))]
    runs.append(record("c", accuracies=(0.5, 0.6, 0.7)))
    assert sort_runs(run_table(runs, "val/acc"), column)["run"].tolist() == expected


def test_a_run_without_the_score_is_last():
    runs = [record("a", summary={}, metrics=pd.DataFrame()), record("b", accuracies=(0.1,))]
    assert sort_runs(run_table(runs, "val/acc"), "val/acc")["run"].tolist() == ["b", "a"]


def test_an_unknown_column_is_refused_with_those_there_are():
    with pytest.raises(InputError, match=r"sort=val/accc: there is no such column; give one of run, status"):
        sort_runs(run_table([record()], "val/acc"), "val/accc")
