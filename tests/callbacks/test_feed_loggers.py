"""What the loggers get besides metrics, without a training."""

import numpy as np
import pytest
from lightning.pytorch.loggers import CSVLogger
from PIL import Image

from imageclf.analysis.predictions_csv import predictions_table
from imageclf.callbacks.always.loggers import numbers, send_file, send_picture, top_rates
from imageclf.report.plots.outcome import label_figures, number_figures, outcome_pictures
from imageclf.tasks import MULTICLASS, Multilabel, Regression
from imageclf.training.parts.loggers import build_loggers, with_id

WANDB = {"_target_": "lightning.pytorch.loggers.WandbLogger", "id": None}
MLFLOW = {"_target_": "lightning.pytorch.loggers.MLFlowLogger"}
CSV = {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": "x"}


def table(tmp_path, labels):
    paths = [str(tmp_path / f"{index}.png") for index in range(len(labels))]
    for path in paths[1:]:
        Image.new("RGB", (40, 20), "red").save(path)
    probabilities = np.tile([0.1, 0.9], (len(labels), 1))
    return predictions_table(paths, paths, labels, probabilities, ("cat", "dog"))


def test_a_logger_of_another_kind_is_sent_no_picture_and_no_file(tmp_path):
    logger = CSVLogger(str(tmp_path))
    send_picture(logger, "name", Image.new("RGB", (4, 4)), 0)
    send_file(logger, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (["cat", "cat", "dog"], ["confusion_matrix", "most_wrong"]),
        (["dog", "dog"], ["confusion_matrix"]),
        (["", ""], []),
    ],
    ids=["mistakes", "none", "unlabelled"],
)
def test_there_is_a_picture_of_what_there_is_to_show(tmp_path, labels, names):
    # The file of the first picture does not exist: it is a grey square.
    found = outcome_pictures(table(tmp_path, labels), ("cat", "dog"), MULTICLASS)
    assert list(found) == names
    assert all(picture.width > 300 for picture in found.values())


def test_the_most_wrong_pictures_are_shown(tmp_path):
    rows = table(tmp_path, ["cat", "cat"])
    found = outcome_pictures(rows, ("cat", "dog"), MULTICLASS)
    pixels = np.asarray(found["most_wrong"].convert("RGB"))
    assert (pixels == [255, 0, 0]).all(axis=2).sum() > 10_000
    assert (pixels == 225).all(axis=2).sum() > 10_000


def test_of_several_labels_each_one_and_the_wrong_ones_are_shown(tmp_path):
    rows = table(tmp_path, ["", "cat|dog"]).assign(prediction=["dog", "cat|dog"])
    assert list(outcome_pictures(rows, ("cat", "dog"), Multilabel())) == ["labels", "most_wrong"]


def test_a_bar_of_a_label_has_what_was_found_missed_and_invented(tmp_path):
    rows = table(tmp_path, ["cat", "cat|dog", "", "cat"]).assign(prediction=["cat", "dog", "dog", "cat"])
    (axes,) = label_figures(rows, ("cat", "dog"))["labels"].axes
    bars = {each.get_label(): [bar.get_width() for bar in each] for each in axes.containers}
    assert bars == {"found": [2, 1], "missed": [1, 0], "invented": [0, 1]}
    assert [text.get_text() for text in axes.texts] == ["F1 0.80", "F1 0.67"]


@pytest.mark.parametrize(
    ("names", "pictures"), [(["age"], ["numbers"]), (["age", "x"], ["numbers_1", "numbers_2"])]
)
def test_numbers_are_shown_over_the_truth(names, pictures):
    labels, numbers = ["|".join(str(row + 7) for _ in names) for row in range(3)], np.ones((3, len(names)))
    rows = predictions_table(list("abc"), list("abc"), labels, numbers, names, Regression().decide)
    assert list(outcome_pictures(rows, names, Regression())) == pictures
    figure = number_figures(rows, names)[pictures[0]]
    points = figure.axes[0].collections[0].get_offsets()
    assert points.tolist() == [[7, 1], [8, 1], [9, 1]]
    assert figure.get_suptitle() == "age"


def test_a_layer_group_has_the_highest_of_its_rates():
    groups = [
        {"name": name, "lr": lr} for name, lr in [("body0", 0.1), ("body0/no_decay", 0.3), ("head", 1.0)]
    ]
    assert top_rates(groups) == {"lr/body0": 0.3, "lr/head": 1.0}


def test_results_that_are_no_numbers_or_known_are_left_out():
    assert numbers({"model": "soup", "val/acc": 0.5, "model/acc": 1}, without={"val/acc"}) == {
        "model/acc": 1.0
    }


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (WANDB, WANDB | {"id": "found"}),
        (WANDB | {"id": "mine"}, WANDB | {"id": "mine"}),
        (MLFLOW, MLFLOW | {"run_id": "found"}),
        (CSV, CSV),
    ],
)
def test_an_id_goes_where_a_logger_takes_one_and_has_none(node, expected):
    assert with_id(node, "logger.mine", "found") == expected


@pytest.mark.parametrize("found", [None, 3, ["x"]])
def test_what_is_no_id_is_left_out(found):
    assert with_id(WANDB, "logger.mine", found) == WANDB


def test_a_logger_without_ids_needs_no_file_of_them(tmp_path):
    (logger,) = build_loggers({"mine": CSV}, tmp_path).values()
    assert isinstance(logger, CSVLogger)
