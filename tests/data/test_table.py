import logging
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imageclf import InputError
from imageclf.data.sources.names import name_clashes, natural_sorted
from imageclf.data.sources.table import Table, check_table, class_order, make_table
from imageclf.system.words import listed


def table(*rows):
    """Make a table of (id, label, split)."""
    ids, labels, splits = zip(*rows, strict=True)
    return make_table({"id": ids, "path": [f"/r/{i}.jpg" for i in ids], "label": labels, "split": splits})


TINY = table(("a", "cat", "train"), ("b", "dog", "train"), ("c", "cat", "valid"), ("d", "", "test"))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["class10", "class2"], ["class2", "class10"]),
        (["b", "B", "a"], ["B", "a", "b"]),
        (["x10y2", "x10y10", "x9y3"], ["x9y3", "x10y2", "x10y10"]),
        (["2", "10", "1"], ["1", "2", "10"]),
        (["a1", "a2", "b"], ["a1", "a2", "b"]),
        (["b", "a20", "a3"], ["a3", "a20", "b"]),
        (["img_010", "img_9", "img_11"], ["img_9", "img_010", "img_11"]),
        (["img_0", "img_10", "img_9"], ["img_0", "img_9", "img_10"]),
        (["a1", "a01", "a001"], ["a001", "a01", "a1"]),
        (["only"], ["only"]),
        ([], []),
    ],
)
def test_names_sort_with_their_numbers_compared_as_numbers(names, expected):
    assert natural_sorted(names) == expected


def test_natural_order_agrees_with_integer_order_for_any_numbers():
    numbers = np.random.Generator(np.random.PCG64(0)).integers(0, 10**12, 500).tolist()
    assert natural_sorted([f"x{n}.jpg" for n in numbers]) == [f"x{n}.jpg" for n in sorted(numbers)]
    assert natural_sorted([f"x{n:09d}.jpg" for n in numbers]) == [f"x{n:09d}.jpg" for n in sorted(numbers)]


def test_numbers_longer_than_python_converts_sort():
    assert natural_sorted(["9" * 5000, "1" + "0" * 5000]) == ["9" * 5000, "1" + "0" * 5000]


def test_the_unicode_form_of_a_name_does_not_change_its_place():
    decomposed = "e\u0301clair"
    assert natural_sorted(["zebra", decomposed, "f"]) == natural_sorted(["f", "zebra", decomposed])
    assert natural_sorted(["\u00e9b", "e\u0301a"]) == ["e\u0301a", "\u00e9b"]


def test_class_order_is_the_distinct_labels_without_the_blank():
    assert class_order(["class10", "", "class2", "class10"]) == ("class2", "class10")


def test_names_in_two_unicode_forms_clash():
    assert name_clashes(["\u00e9", "e\u0301", "x"], ignore_case=False) == [("e\u0301", "\u00e9")]


def test_names_that_differ_by_case_clash_only_when_asked():
    assert name_clashes(["Cat", "cat"], ignore_case=True) == [("Cat", "cat")]
    assert name_clashes(["Cat", "cat"], ignore_case=False) == []


def test_a_listing_shows_ten_and_counts_the_rest():
    assert listed(list(range(12))) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
    assert listed(["a", "b"]) == "'a', 'b'"


def test_labels_are_positions_in_classes_and_minus_one_where_unlabelled():
    assert TINY.classes == ("cat", "dog")
    assert TINY.labels.tolist() == [0, 1, 0, -1]
    assert TINY.labels.dtype == np.int64


def test_rows_are_positions_in_table_order():
    assert TINY.rows("train").tolist() == [0, 1]
    assert TINY.rows("").tolist() == []
    assert TINY.rows("test").dtype == np.int64


def test_class_counts_leave_unlabelled_rows_out():
    assert TINY.class_counts("train").tolist() == [1, 1]
    assert TINY.class_counts("valid").tolist() == [1, 0]
    assert TINY.class_counts("test").tolist() == [0, 0]


def test_a_table_tells_its_sizes_ids_and_paths():
    assert (len(TINY), TINY.num_classes) == (4, 2)
    assert TINY.ids == ["a", "b", "c", "d"]
    assert TINY.paths[0] == "/r/a.jpg"


def test_a_saved_table_reads_back_exactly(tmp_path: Path):
    names = [
        "00123",
        "1e5",
        "NA",
        "null",
        "a,b",
        'q"q',
        " space ",
        "line\nend",
        "cr\rx",
        "é",
        "e\u0301",
        "True",
    ]
    before = table(*((name, name, "train") for name in names), ("t", "", "test"), ("u", "NA", ""))
    before.save(tmp_path / "split.csv")
    after = Table.load(tmp_path / "split.csv")
    pd.testing.assert_frame_equal(after.frame, before.frame)
    assert after.classes == before.classes


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch):
    path = tmp_path / "split.csv"
    TINY.save(path)
    before = path.read_bytes()

    def fail(self, content):
        self.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space"):
        TINY.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["split.csv"]  # noqa: PTH208


def test_loading_with_classes_keeps_the_number_of_a_class_without_rows(tmp_path: Path):
    TINY.save(tmp_path / "split.csv")
    assert Table.load(tmp_path / "split.csv", ["ant", "cat", "dog"]).labels.tolist() == [1, 2, 1, -1]


def test_loading_refuses_labels_outside_the_classes(tmp_path: Path):
    TINY.save(tmp_path / "split.csv")
    with pytest.raises(InputError, match="not among the classes: 'dog'"):
        Table.load(tmp_path / "split.csv", ["cat"])


def test_loading_refuses_another_csv(tmp_path: Path):
    (tmp_path / "x.csv").write_text("id,label\na,b\n")
    with pytest.raises(InputError, match=r"x\.csv has columns 'id', 'label'"):
        Table.load(tmp_path / "x.csv")


def test_one_class_is_refused():
    with pytest.raises(InputError, match=r"data\.root.*two or more classes.*'cat'"):
        check_table(table(("a", "cat", "train"), ("b", "cat", "valid")), "data.valid")


@pytest.mark.fault(
    "Folders and tables", "Two classes would share a column of the predictions", "It is refused"
)
def test_classes_that_would_share_a_column_are_refused_before_training():
    with pytest.raises(InputError, match="two classes would share the column 'class:label'"):
        check_table(table(("a", "label", ""), ("b", "class:label", "")), "data.valid")


def test_classes_of_undecided_rows_count_as_trained():
    check_table(table(("a", "cat", ""), ("b", "dog", "")), "data.valid")


@pytest.mark.parametrize(("split", "key"), [("valid", "data.valid_column"), ("test", "data.test")])
def test_a_class_without_training_pictures_is_refused(split, key):
    rows = table(("a", "cat", "train"), ("b", "dog", "train"), ("c", "elk", split))
    with pytest.raises(InputError, match=rf"{key}: .*without training pictures: 'elk'"):
        check_table(rows, "data.valid_column")


def test_a_class_without_validation_pictures_is_a_warning(caplog):
    check_table(TINY, "data.valid")
    assert "1 class has no validation picture: 'dog'" in caplog.text


def test_without_validation_rows_there_is_no_warning(caplog):
    with caplog.at_level(logging.INFO):
        check_table(table(("a", "cat", ""), ("b", "dog", "")), "data.valid")
    assert caplog.text == ""


def test_repeated_ids_are_refused_and_named():
    rows = table(("a", "cat", "train"), ("b", "dog", "train"), ("a", "cat", "valid"))
    with pytest.raises(InputError, match="more than once: 'a'"):
        check_table(rows, "data.valid")


def test_a_test_picture_may_have_the_id_of_a_training_picture():
    check_table(table(("1", "cat", "train"), ("2", "dog", "train"), ("1", "", "test")), "data.valid")
