import numpy as np
import pandas as pd
import pytest

from imageclf import InputError
from imageclf.analysis.predictions_csv import predictions_table
from imageclf.analysis.submission import (
    label_submission,
    probability_submission,
    submission_of,
    write_submission,
)

CLASSES = ["beagle", "label"]
PROBABILITIES = np.array([[0.75, 0.25], [0.125, 0.875], [0.5, 0.5]])


@pytest.fixture
def predictions():
    paths = ["test/00b.jpg", "test/NA.jpg", "test/00a.jpg"]
    return predictions_table(["0", "1", "2"], paths, None, PROBABILITIES, CLASSES)


@pytest.fixture
def sample(tmp_path):
    def write(text):
        (tmp_path / "sample.csv").write_text(text)
        return tmp_path / "sample.csv"

    return write


def test_the_id_is_the_stem_of_the_file(predictions):
    assert probability_submission(predictions, CLASSES)["id"].tolist() == ["00b", "NA", "00a"]


def test_a_class_is_headed_by_its_plain_name(predictions):
    assert list(probability_submission(predictions, CLASSES).columns) == ["id", *CLASSES]


def test_a_sample_sets_the_order_of_rows_and_columns(predictions, sample):
    form = sample("name,label,beagle\n00a,0,0\nNA,0,0\n00b,0,0\n")
    submission = probability_submission(predictions, CLASSES, form)
    assert submission.to_csv(index=False) == "name,label,beagle\n00a,0.5,0.5\nNA,0.875,0.125\n00b,0.25,0.75\n"


def test_the_label_form_has_two_columns(predictions):
    expected = {"id": ["00b", "NA", "00a"], "label": ["beagle", "label", "beagle"]}
    assert label_submission(predictions).to_dict("list") == expected


def test_a_sample_with_suffixes_is_matched_by_file_name(predictions, sample):
    submission = label_submission(predictions, sample("file,species\nNA.jpg,x\n00a.jpg,x\n00b.jpg,x\n"))
    assert submission.to_dict("list") == {
        "file": ["NA.jpg", "00a.jpg", "00b.jpg"],
        "species": ["label", "beagle", "beagle"],
    }


def test_the_written_file_keeps_ids_and_probabilities(predictions, tmp_path):
    write_submission(probability_submission(predictions, CLASSES), tmp_path / "submission.csv")
    read = pd.read_csv(tmp_path / "submission.csv", dtype={"id": str}, keep_default_na=False)
    assert read["id"].tolist() == ["00b", "NA", "00a"]
    assert np.array_equal(read[CLASSES].to_numpy(), PROBABILITIES)


def test_an_id_that_was_not_predicted_is_named(predictions, sample):
    with pytest.raises(InputError, match="1 of its 2 ids was not predicted, such as '00c'"):
        label_submission(predictions, sample("id,label\n00a,x\n00c,x\n"))


def test_a_picture_that_the_sample_does_not_list_is_named(predictions, sample):
    with pytest.raises(InputError, match="does not list 2 of the 3 pictures, such as '00b'"):
        label_submission(predictions, sample("id,label\n00a,x\n"))


@pytest.mark.parametrize(
    ("header", "columns"),
    [("name,label,beagle", ["name", "label", "beagle"]), ("file,species", ["file", "species"])],
)
def test_the_form_is_that_of_the_sample(header, columns, predictions, sample):
    rows = "".join(f"\n{name}{',0' * (len(columns) - 1)}" for name in ("00a", "NA", "00b"))
    assert list(submission_of(predictions, CLASSES, sample(header + rows)).columns) == columns


def test_a_sample_that_is_no_csv_is_refused(predictions, sample):
    with pytest.raises(InputError, match="is no CSV"):
        submission_of(predictions, CLASSES, sample(""))


def test_a_class_that_the_sample_does_not_know_is_named(predictions, sample):
    with pytest.raises(InputError, match="disagree on the class 'label'"):
        probability_submission(predictions, CLASSES, sample("id,beagle\n00a,0\n00b,0\nNA,0\n"))


def test_a_probability_sample_is_refused_for_labels(predictions, sample):
    with pytest.raises(InputError, match="has 3 columns"):
        label_submission(predictions, sample("id,beagle,label\n00a,0,0\n"))


def test_a_missing_sample_is_refused(predictions, tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        label_submission(predictions, tmp_path / "none.csv")


def test_two_pictures_of_one_name_are_refused():
    twice = predictions_table(["0", "1"], ["a/1.jpg", "b/1.jpg"], None, PROBABILITIES[:2], CLASSES)
    with pytest.raises(InputError, match="share the id '1'"):
        label_submission(twice)
