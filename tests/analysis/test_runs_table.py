"""The table of runs: scores, progress, order."""

import pandas as pd
import pytest
from run_records import record
from torchmetrics import classification

from imageclf import InputError
from imageclf.analysis.runs_table import less_is_better, run_scores, run_table, sort_runs


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


def metric(**node: object) -> dict[str, object]:
    return {"metrics": {"mine": {"_target_": "mine.score"} | node}}


@pytest.mark.parametrize(
    ("node", "first"),
    [
        ({"higher_is_better": False}, "a"),
        ({"higher_is_better": True}, "b"),
        ({"_target_": "torchmetrics.classification.MulticlassHingeLoss"}, "a"),
    ],
)
def test_the_settings_of_a_metric_say_which_way_it_is_better(node, first):
    runs = [
        record(name, metric(**node), summary={"val/mine": score}) for name, score in (("a", 0.1), ("b", 0.9))
    ]
    assert sort_runs(run_table(runs, "val/mine"), "val/mine", runs)["run"].tolist()[0] == first


def test_the_classes_of_torchmetrics_are_taken_for_what_they_say_themselves():
    classes = [getattr(classification, name) for name in dir(classification) if name.startswith("Multiclass")]
    known = [each for each in classes if isinstance(each.higher_is_better, bool)]
    assert len(known) > 10
    for each in known:
        settings = {"metrics.mine._target_": f"torchmetrics.classification.{each.__name__}"}
        assert less_is_better("val/mine", settings) is not each.higher_is_better, each


def test_a_run_without_the_score_is_last():
    runs = [record("a", summary={}, metrics=pd.DataFrame()), record("b", accuracies=(0.1,))]
    assert sort_runs(run_table(runs, "val/acc"), "val/acc")["run"].tolist() == ["b", "a"]


def test_an_unknown_column_is_refused_with_those_there_are():
    with pytest.raises(InputError, match=r"sort=val/accc: there is no such column; give one of run, status"):
        sort_runs(run_table([record()], "val/acc"), "val/accc")
