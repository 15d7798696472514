"""The end of a run: summary.json and predictions/*.csv, against what follows from the other files."""

import json

import numpy as np
import pandas as pd
import pytest

from imageclf import InputError
from imageclf.launch.start import train
from imageclf.system.machine import processor_name
from imageclf.training.directory import prepare

CLASSES = ["blue", "green", "red"]


@pytest.fixture(scope="module")
def summary(finished_run):
    return json.loads((finished_run / "summary.json").read_text())


@pytest.fixture(scope="module")
def valid(finished_run):
    return pd.read_csv(finished_run / "predictions" / "valid.csv", keep_default_na=False)


@pytest.fixture(scope="module")
def test_table(finished_run):
    return pd.read_csv(finished_run / "predictions" / "test.csv", keep_default_na=False)


def test_the_summary_is_flat_but_for_the_classes(summary):
    assert [name for name, value in summary.items() if isinstance(value, list | dict)] == ["classes"]


@pytest.mark.parametrize(
    "key",
    [
        "val/acc",
        "val/loss",
        "val/acc_tta",
        "val/loss_tta",
        "val/acc_ensemble",
        "val/acc_average",
        "val/acc_best",
        "val/acc_best_crossfit",
        "val/acc_best_crossfit_low",
        "val/acc_best_crossfit_high",
        "model/acc",
        "model/loss",
        "model/acc_low",
        "model/acc_high",
    ],
)
def test_the_summary_has_a_number_for_each_score(summary, key):
    assert isinstance(summary[key], float)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("experiment", None),
        ("epochs", 2),
        ("num_train", 19),
        ("num_valid", 5),
        ("num_test", 4),
        ("classes", CLASSES),
        ("accelerator", "cpu"),
        ("device_name", processor_name()),
        ("precision", "32-true"),
        ("deterministic", True),
        ("num_workers", 0),
    ],
)
def test_the_summary_says_what_was_trained(summary, key, value):
    assert summary[key] == value


def test_the_seconds_are_those_of_the_epochs(summary, finished_run):
    rows = pd.read_csv(finished_run / "metrics.csv")
    assert summary["seconds"] == pytest.approx(rows["seconds"].sum(), abs=0.051)


def test_predictions_are_headed_by_four_texts_and_the_classes(valid):
    assert list(valid.columns) == ["id", "path", "label", "prediction", *CLASSES]


def test_every_validation_picture_is_predicted_once(valid, finished_run):
    split = pd.read_csv(finished_run / "split.csv")
    assert list(valid["id"]) == list(split.loc[split["split"] == "valid", "id"])


def test_probabilities_sum_to_one(valid):
    assert valid[CLASSES].sum(axis=1).to_numpy() == pytest.approx(np.ones(len(valid)), abs=1e-6)


def test_the_prediction_is_the_most_probable_class(valid):
    assert list(valid["prediction"]) == list(valid[CLASSES].idxmax(axis=1))


def test_the_accuracy_is_the_share_of_right_predictions(valid, summary):
    assert summary["model/acc"] == (valid["label"] == valid["prediction"]).mean()


def test_the_loss_is_the_mean_of_the_right_classes_negative_logarithm(valid, summary):
    right = [row[row["label"]] for _, row in valid.iterrows()]
    assert summary["model/loss"] == pytest.approx(-np.mean(np.log(right)), rel=1e-5)


def test_the_scores_of_validation_are_those_of_the_last_epoch(summary, finished_run):
    last = pd.read_csv(finished_run / "metrics.csv").iloc[-1]
    assert [summary[key] for key in ("val/acc", "val/loss")] == pytest.approx(
        [last["val/acc"], last["val/loss"]], rel=1e-6
    )


def test_the_best_is_the_best_of_the_candidates(summary, finished_run):
    rows = json.loads((finished_run / "snapshots" / "candidates.json").read_text())["candidates"]
    assert summary["val/acc_best"] == max(row["accuracy"] for row in rows.values())


def test_test_pictures_have_no_label(test_table):
    assert list(test_table["label"]) == [""] * 4


def test_test_pictures_are_scored_by_nothing(summary):
    assert not [key for key in summary if key.startswith("test/")]


def sampled(composed, tiny, run_dir, sample, *overrides):
    """Train the tiny data set, with a sample_submission for the four red pictures of the test folder."""
    cfg = composed(
        *tiny, "data.test=valid/red", "data.valid=null", "~callbacks.report", f"analysis.sample={sample}",
        "schedule=quick", *overrides,
    )  # fmt: skip
    prepare(cfg, run_dir, [])
    train(run_dir)


def test_the_submission_of_a_training_has_the_ids_order_and_header_of_its_sample(composed, tiny, tmp_path):
    (tmp_path / "sample.csv").write_text("file,species\n2,x\n0,x\n3,x\n1,x\n")
    sampled(composed, tiny, tmp_path / "run", tmp_path / "sample.csv")
    written = pd.read_csv(tmp_path / "run" / "submission.csv")
    assert (list(written.columns), written["file"].tolist()) == (["file", "species"], [2, 0, 3, 1])


def test_a_sample_of_other_ids_is_refused_before_the_training(composed, tiny, tmp_path):
    (tmp_path / "sample.csv").write_text("file,species\n2,x\n9,x\n")
    with pytest.raises(InputError, match="1 of its 2 ids was not predicted, such as '9'"):
        sampled(composed, tiny, tmp_path / "run", tmp_path / "sample.csv")
    assert not (tmp_path / "run" / "metrics.csv").exists()


def test_a_sample_needs_test_pictures(composed, tiny, tmp_path):
    (tmp_path / "sample.csv").write_text("file,species\n2,x\n")
    with pytest.raises(InputError, match="give data\\.test, its pictures"):
        sampled(composed, tiny, tmp_path / "run", tmp_path / "sample.csv", "data.test=null")
