import re

import numpy as np
import pytest

from imageclf import InputError
from imageclf.analysis.predictions_csv import (
    class_summary,
    label_indices,
    predictions_table,
    probabilities_of,
    read_classes,
    read_predictions,
    true_numbers,
    write_predictions,
)

CLASSES = ["cat", "NA", "label", 'ünï,code "x"']
PROBABILITIES = np.random.default_rng(0).dirichlet(np.ones(4), size=3).astype(np.float32)
IDS, PATHS = ["00123", "NA", "1e5"], ["a b.jpg", "null", "x/ü,\n.png"]


@pytest.fixture
def table():
    return predictions_table(IDS, PATHS, ["cat", None, "label"], PROBABILITIES, CLASSES)


@pytest.fixture
def read(table, tmp_path):
    write_predictions(table, tmp_path / "predictions" / "valid.csv")
    return read_predictions(tmp_path / "predictions" / "valid.csv", CLASSES)


def test_a_class_named_like_a_column_gets_a_heading_of_its_own(table):
    text = ["id", "path", "label", "prediction"]
    assert list(table.columns) == [*text, "cat", "NA", "class:label", CLASSES[3]]


def test_ids_survive_the_file_as_written(read):
    assert read["id"].tolist() == IDS


def test_paths_survive_the_file_as_written(read):
    assert read["path"].tolist() == PATHS


def test_an_unknown_label_is_empty(read):
    assert read["label"].tolist() == ["cat", "", "label"]


def test_the_prediction_is_the_most_probable_class(read):
    assert read["prediction"].tolist() == [CLASSES[index] for index in PROBABILITIES.argmax(axis=1)]


def test_float32_probabilities_survive_the_file_exactly(read):
    assert np.array_equal(probabilities_of(read, CLASSES).astype(np.float32), PROBABILITIES)


def test_the_classes_can_be_read_from_the_heading(table, tmp_path):
    write_predictions(table, tmp_path / "valid.csv")
    assert read_classes(tmp_path / "valid.csv") == CLASSES


def test_a_file_name_that_is_no_utf8_survives(tmp_path):
    name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    table = predictions_table(["1"], [name], None, np.array([[1.0]]), ["cat"])
    write_predictions(table, tmp_path / "valid.csv")
    assert b"caf\xe9.jpg" in (tmp_path / "valid.csv").read_bytes()
    assert read_predictions(tmp_path / "valid.csv", ["cat"])["path"].tolist() == [name]


def test_writing_leaves_no_temporary_file(table, tmp_path):
    write_predictions(table, tmp_path / "valid.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["valid.csv"]


def test_a_failed_write_leaves_the_old_file(table, tmp_path, monkeypatch):
    (tmp_path / "valid.csv").write_text("old")
    monkeypatch.setattr("pathlib.Path.write_bytes", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_predictions(table, tmp_path / "valid.csv")
    assert (tmp_path / "valid.csv").read_text() == "old"


def test_labels_become_positions_and_unknown_ones_minus_one(table):
    assert label_indices(table, CLASSES).tolist() == [0, -1, 2]


def test_a_label_that_is_no_class_is_refused(table):
    with pytest.raises(InputError, match="'cat' is not one of the classes dog"):
        label_indices(table, ["dog", "label"])


def test_unlabelled_pictures_have_empty_labels():
    table = predictions_table(IDS, PATHS, None, PROBABILITIES, CLASSES)
    assert table["label"].tolist() == ["", "", ""]


def test_a_table_of_other_classes_is_refused(table, tmp_path):
    write_predictions(table, tmp_path / "valid.csv")
    with pytest.raises(InputError, match="has the columns"):
        read_predictions(tmp_path / "valid.csv", ["cat", "dog"])


@pytest.mark.fault(
    "Splits, batches and metrics",
    "A probability in a table of predictions is damaged",
    "It is refused, with the file",
)
def test_a_damaged_probability_is_refused(tmp_path):
    (tmp_path / "valid.csv").write_text("id,path,label,prediction,cat\n1,a.jpg,cat,cat,much\n")
    with pytest.raises(InputError, match="not a number"):
        read_predictions(tmp_path / "valid.csv", ["cat"])


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_predictions(tmp_path / "valid.csv", CLASSES)


def test_columns_of_different_length_are_refused():
    with pytest.raises(InputError, match=r"give \(2, 4\)"):
        predictions_table(IDS[:2], PATHS, None, PROBABILITIES, CLASSES)


def test_classes_that_would_share_a_column_are_refused():
    with pytest.raises(InputError, match="'class:label'"):
        predictions_table(["1"], ["1.jpg"], None, np.array([[0.5, 0.5]]), ["label", "class:label"])


def test_the_summary_counts_predictions_by_class_and_confidence():
    probabilities = np.array([[0.9, 0.1, 0], [0.4, 0.3, 0.3], [0.2, 0.1, 0.7]])
    table = predictions_table(["0", "1", "2"], ["a", "b", "c"], None, probabilities, ["x", "y", "z"])
    rows = class_summary(table).to_dict("records")
    assert rows == [
        {"prediction": "x", "pictures": 2, "confidence": pytest.approx(0.65), "unsure": 1},
        {"prediction": "z", "pictures": 1, "confidence": pytest.approx(0.7), "unsure": 0},
    ]


def numbers(*labels):
    """Return a table of two predicted numbers."""
    names = list(map(str, range(len(labels))))
    values = np.zeros((len(labels), 2))
    return predictions_table(names, names, labels, values, ["hue", "size"], lambda *_: list(labels))


def test_true_numbers_are_those_of_the_labels():
    assert true_numbers(numbers("1|2.5", "-3|1e3")).tolist() == [[1, 2.5], [-3, 1000]]
    assert true_numbers(numbers()).shape == (0, 2)


@pytest.mark.parametrize("label", ["1", "1|2|3", "1|nan", "1|inf", "1|1e300", "cat|dog", "", "1,5|2"])
def test_a_label_that_is_not_a_number_for_each_column_is_named(label):
    with pytest.raises(InputError, match=re.escape(f"the label {label!r} of 1 is not 2 numbers joined by |")):
        true_numbers(numbers("1|2", label))
