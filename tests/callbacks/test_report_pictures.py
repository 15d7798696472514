"""What the report of a real run shows of its training: pictures of a batch, and where the network looked."""

import re

import pytest

from imageclf.analysis.predictions_csv import read_predictions
from imageclf.callbacks.report import extremes
from imageclf.tasks import MULTICLASS


@pytest.fixture(scope="module")
def page(finished_run):
    return (finished_run / "report.html").read_text(encoding="utf-8")


def test_a_batch_is_shown_as_the_network_was_shown_it(page):
    assert page.count('alt="A training picture"') == 8
    assert "resized and augmented as the network was shown them" in re.sub(r"\s+", " ", page)


def test_the_looks_are_at_the_most_wrong_and_the_most_right_pictures(page, finished_run):
    predictions = read_predictions(finished_run / "predictions" / "valid.csv", ["blue", "green", "red"])
    wrong = int((predictions["label"] != predictions["prediction"]).sum())
    expected = min(wrong, 6) + min(len(predictions) - wrong, 6)
    assert len(extremes(MULTICLASS, predictions, ["blue", "green", "red"])) == expected
    assert page.count('alt="Where the network looked"') == expected
