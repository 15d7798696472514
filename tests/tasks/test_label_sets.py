"""Several labels in a cell, or as columns of 0 and 1."""

import pandas as pd
import pytest

from imageclf import InputError
from imageclf.tasks import MULTICLASS, Multilabel

CELLS = ["haze;primary", "", " primary ; water;primary"]


def read(*texts: str, **options: str) -> list[str]:
    return Multilabel(**options).label_texts(pd.DataFrame({"tags": texts}, dtype="str")).tolist()


@pytest.mark.parametrize("separator", ["|", ";", ",", " "])
def test_the_separator_of_labels_is_found(separator):
    texts = [text.replace(";", separator) for text in ("b;a", "", "c")]
    assert read(*texts) == ["a|b", "", "c"]


def test_spaces_around_labels_and_repeats_do_not_count():
    assert read(*CELLS) == ["haze|primary", "", "primary|water"]


def test_a_space_separates_only_where_nothing_else_does():
    assert read("golden retriever,ball", "cat") == ["ball|golden retriever", "cat"]


def test_a_separator_that_is_given_counts_alone():
    assert read("a/b c", "d", separator="/") == ["a|b c", "d"]


def test_the_log_says_what_separates_the_labels(caplog):
    caplog.set_level("INFO")
    read(*CELLS)
    assert "labels in the cells of 'tags' are separated by a semicolon (task.separator)" in caplog.text
    assert "1 of 3 pictures have no label" in caplog.text


def marks(**columns: list[str]) -> pd.DataFrame:
    return pd.DataFrame(columns, dtype="str")


def test_columns_of_0_and_1_are_labels_by_their_heading():
    columns = marks(haze=["1", "0", "0"], primary=["1", "0", "1.0"])
    assert Multilabel().is_spread(columns)
    assert Multilabel().label_texts(columns).tolist() == ["haze|primary", "", "primary"]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (marks(a=["0", "1"]), False),
        (marks(a=["0", "1"], b=["1", "x"]), False),
        (marks(a=["1"], b=[""]), True),
    ],
    ids=["one column", "text", "a blank cell"],
)
def test_only_several_columns_of_marks_are_spread(columns, expected):
    assert Multilabel().is_spread(columns) is expected


def test_a_single_column_of_marks_has_no_names_of_labels():
    with pytest.raises(
        InputError, match=r"data\.label_column=a: it holds nothing but 0 and 1, which are no names"
    ):
        Multilabel().label_texts(marks(a=["1", "0"]))


def test_a_cell_that_is_no_mark_is_named():
    with pytest.raises(
        InputError, match="the column 'b' holds '' in row 1; a column of a class holds 0 and 1"
    ):
        Multilabel().label_texts(marks(a=["1", "0"], b=["0", ""]))


def test_a_class_may_not_contain_what_joins_labels():
    with pytest.raises(InputError, match=r"the class 'a\|b' contains '\|'"):
        Multilabel().label_texts(marks(**{"a|b": ["1"], "c": ["0"]}))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (marks(**{"a": ["1"], "": ["1"]}), "a column of 0 and 1 has no heading"),
        (pd.concat([marks(a=["1"]), marks(a=["0"])], axis=1), "two columns of 0 and 1 are headed 'a'"),
        (marks(**{"a|b": ["0"], "c": ["1"]}), r"the class 'a\|b' contains"),
    ],
    ids=["blank", "twice", "a bar"],
)
def test_a_heading_that_names_no_class_is_refused(columns, message):
    with pytest.raises(InputError, match=message):
        Multilabel().label_texts(columns)


def test_the_log_names_the_columns_that_are_no_classes(caplog):
    Multilabel().label_texts(marks(a=["1", "1"], b=["0", "0"]))
    assert caplog.messages == ["columns without any 1 are no classes: b"]


def test_the_usual_task_takes_one_column():
    with pytest.raises(InputError, match="with task=multiclass give one column"):
        MULTICLASS.label_texts(marks(a=["1"], b=["0"]))


@pytest.mark.parametrize(("sample", "expected"), [((), "a b"), (("x;y",), "a;b"), (("x y",), "a b")])
def test_a_submission_separates_labels_as_its_sample_does(sample, expected):
    assert Multilabel().submitted(["a|b"], sample) == [expected]


def test_names_with_spaces_are_not_separated_by_spaces():
    assert Multilabel().submitted(["golden retriever|ball"], ()) == ["golden retriever|ball"]
