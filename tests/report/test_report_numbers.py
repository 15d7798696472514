import doctest

import numpy as np
import pandas as pd
import pytest

from imageclf.report import galleries, page, reported, runs_numbers
from imageclf.report.galleries import common_folder
from imageclf.report.page import duration, percent
from imageclf.report.reported import model_sentence, reported_model
from imageclf.report.run_numbers import ClassRow, class_rows, fit_rows, headline_cards, phase_rows

REPORTED = {
    "model": "ensemble",
    "model/chosen": True,
    "model/acc": 58 / 60,
    "model/loss": 0.125,
    "model/acc_low": 0.8864,
    "model/acc_high": 0.9908,
    "model/pictures": 60,
}


@pytest.mark.parametrize("module", [galleries, page, reported, runs_numbers])
def test_the_examples_in_the_docstrings_hold(module):
    failed, attempted = doctest.testmod(module)
    assert attempted
    assert not failed


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.25, "4.2 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (7199.9, "2 h 00 min")]
)
def test_a_duration_is_told_in_the_units_that_matter(seconds, text):
    assert duration(seconds) == text


def test_a_second_decimal_needs_a_thousand_pictures():
    assert (percent(0.9934, 24), percent(0.9934, 2000)) == ("99.3 %", "99.34 %")


def test_cards_come_in_reading_order_whatever_the_file():
    cards = headline_cards({"seconds": 1, "val/loss": 0.5, "val/acc": 0.25, "unknown": 3}, None)
    assert [card.key for card in cards] == ["val/acc", "val/loss", "seconds"]


def test_beside_a_reported_model_no_candidate_has_a_card():
    summary = {"seconds": 1, "val/acc": 0.25, "val/acc_best": 0.5, "test/acc": 0.75} | REPORTED
    cards = headline_cards(summary, reported_model(summary, []))
    assert [card.key for card in cards] == ["test/acc", "seconds"]


def test_a_model_of_numbers_without_metrics_has_its_loss():
    summary = {"task": "regression", "model": "final", "model/loss": 0.5, "model/pictures": 8}
    sentence = "The reported model is the final weights: loss 0.5 on 8 validation pictures."
    assert model_sentence(summary, []) == sentence


def test_the_worst_class_comes_first_with_what_it_is_confused_with():
    worst = class_rows(np.array([[8, 2, 0], [1, 5, 4], [0, 0, 3]]), ["a", "b", "c"])[0]
    assert worst == ClassRow(
        "b", pictures=10, precision=5 / 7, recall=0.5, f1=10 / 17, mistakes=4, confused_with="c"
    )


def test_a_class_without_pictures_has_no_row():
    assert [row.name for row in class_rows(np.array([[2, 0], [0, 0]]), ["a", "b"])] == ["a"]


@pytest.mark.parametrize("paths", [["/a/1.jpg", "b/2.jpg"], ["/a/1.jpg", "/b/2.jpg"], ["1.jpg"], []])
def test_paths_without_a_common_folder_have_none(paths):
    assert common_folder(paths) == ""


def test_a_cycles_end_is_judged_from_the_metrics():
    metrics = pd.DataFrame(
        {
            "phase": ["head", "head", "tune"],
            "epoch": [0, 1, 2],
            "train/loss_plain": [1.0, np.nan, 0.2],
            "val/loss": [1.0, 0.9, 1.5],
        }
    )
    rows = fit_rows(metrics, classes=6)
    assert [(row.phase, row.epoch, row.verdict.word) for row in rows] == [
        ("head", 0, "under-fitting"),
        ("tune", 2, "over-fitting"),
    ]


def test_a_difference_within_the_standard_error_of_the_metrics_is_no_over_fitting():
    measured = {"train/loss_plain": [0.2], "val/loss": [0.6], "val/loss_error": [0.5], "val/acc": [0.9]}
    (row,) = fit_rows(pd.DataFrame({"phase": ["head"], "epoch": [0]} | measured), classes=6)
    assert (row.verdict.word, row.fit.error) == ("about right", 0.5)


def test_the_drop_of_a_phase_that_unfreezes_is_noted_beside_it():
    metrics = pd.DataFrame(
        {
            "phase": ["head", "tune", "tune"],
            "lr/body": [0.0, 1e-4, 1e-4],
            "lr/head": [1e-3, 1e-3, 1e-3],
            "val/acc": [0.8, 0.7, 0.9],
        }
    )
    head, tune = phase_rows(metrics, pictures=50)
    assert head.note == ""
    assert tune.note.startswith("The accuracy fell from 80.0 to 70.0 % in the first epoch of tune")


def test_metrics_without_plain_losses_have_no_verdicts():
    assert fit_rows(pd.DataFrame({"phase": ["head"], "epoch": [0], "val/loss": [1.0]}), classes=2) == []
