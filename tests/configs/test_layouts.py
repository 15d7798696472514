"""What a data set's layout is, found out from the names on the disk."""

from pathlib import Path

import pytest

from imageclf import InputError
from imageclf.configs.found.folder_layout import find_test, find_train, find_valid
from imageclf.configs.found.table_layout import (
    find_id_column,
    find_images,
    find_label_column,
    find_suffix,
    find_valid_column,
)


def lay(root: Path, *files: str) -> str:
    """Make empty files, and return the root."""
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return str(root)


def layout(root: str) -> tuple[str, str | None, str | None]:
    train = find_train(root)
    return train, find_valid(root, train), find_test(root, train)


def table(root: Path, *rows: str, name: str = "labels.csv") -> str:
    """Write a CSV, and return its name."""
    root.mkdir(exist_ok=True)
    (root / name).write_text("\n".join(rows) + "\n", encoding="utf-8")
    return name


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (("cat/1.jpg", "dog/1.jpg"), (".", None, None)),
        (("train/cat/1.jpg", "valid/cat/1.jpg"), ("train", "valid", None)),
        (("train/cat/1.jpg",), ("train", None, None)),
        (("Train/cat/1.jpg", "VAL/cat/1.jpg"), ("Train", "VAL", None)),
        (("training/cat/1.jpg", "validation/cat/1.jpg"), ("training", "validation", None)),
        (("train/cat/1.jpg", "val/cat/1.jpg", "test/1.jpg"), ("train", "val", "test")),
        (("train/cat/1.jpg", "test/cat/1.jpg"), ("train", None, "test")),
        # A class of trains, and one of tests.
        (("train/1.jpg", "test/1.jpg", "car/1.jpg"), (".", None, None)),
        (("train/cat/1.jpg", "valid/1.jpg"), ("train", None, None)),
    ],
)
def test_folders_are_splits_where_they_are_called_so_and_hold_folders(tmp_path, files, expected):
    assert layout(lay(tmp_path, *files)) == expected


def test_an_empty_test_folder_is_none(tmp_path):
    root = lay(tmp_path, "train/cat/1.jpg")
    (tmp_path / "test").mkdir()
    assert layout(root) == ("train", None, None)


def test_held_out_pictures_without_training_pictures_are_refused_with_what_is_there(tmp_path):
    root = lay(tmp_path, "valid/cat/1.jpg", "images/cat/1.jpg")
    with pytest.raises(InputError, match=r"is beside it, only images/; give data\.train=FOLDER"):
        find_train(root)


def test_validation_pictures_are_found_beside_training_pictures_of_another_name(tmp_path):
    assert find_valid(lay(tmp_path, "valid/cat/1.jpg", "images/cat/1.jpg"), "images") == "valid"


def test_the_home_folder_may_be_meant(tmp_path, monkeypatch):
    lay(tmp_path, "pets/train/cat/1.jpg")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_train("~/pets") == "train"


def found(root: Path, csv: str) -> dict[str, str | None]:
    """Return what is found of a CSV, as the config looks it up."""
    column = find_id_column(str(root), csv)
    images = find_images(str(root), csv, column)
    return {
        "id_column": column,
        "images": images,
        "suffix": find_suffix(str(root), csv, column, images),
        "label_column": find_label_column(str(root), csv, column),
        "valid_column": find_valid_column(str(root), csv),
    }


def test_ids_without_a_suffix_are_found_in_a_folder(tmp_path):
    lay(tmp_path, "train/a1.jpg", "train/a10.jpg", "train/b.jpg", "test/c.jpg")
    csv = table(tmp_path, "id,breed", "a1,pug", "a10,pug", "b,boxer")
    assert found(tmp_path, csv) == {
        "id_column": "id",
        "images": "train",
        "suffix": ".jpg",
        "label_column": "breed",
        "valid_column": None,
    }


def test_paths_below_the_table_are_found_in_whichever_column_they_are(tmp_path):
    lay(tmp_path, "cat/1.png", "dog/2.png", "dog/3.png")
    csv = table(tmp_path, "class;width;file", "cat;10;cat/1.png", "dog;11;dog/2.png", "dog;10;dog/3.png")
    assert found(tmp_path, csv) == {
        "id_column": "file",
        "images": ".",
        "suffix": None,
        "label_column": "class",
        "valid_column": None,
    }


def test_a_column_called_is_valid_says_what_is_held_out_and_is_no_class(tmp_path):
    lay(tmp_path, *(f"p/{number}.jpg" for number in range(6)))
    csv = table(tmp_path, "fname,kind,is_valid", *(f"{n}.jpg,{'xy'[n % 2]},{n % 2}" for n in range(6)))
    assert found(tmp_path, csv)["valid_column"] == "is_valid"
    assert found(tmp_path, csv)["label_column"] == "kind"


def test_two_columns_of_files_are_refused(tmp_path):
    lay(tmp_path, "a/1.jpg", "b/1.jpg")
    csv = table(tmp_path, "left,right,label", "a/1.jpg,b/1.jpg,x")
    with pytest.raises(
        InputError, match=r"the columns 'left', 'right' all name files; give data\.id_column=left"
    ):
        find_id_column(str(tmp_path), csv)


def test_two_folders_of_the_same_files_are_refused(tmp_path):
    lay(tmp_path, "big/1.jpg", "small/1.jpg")
    csv = table(tmp_path, "id,label", "1,x")
    with pytest.raises(
        InputError, match=r"the folders 'big', 'small' all hold files .* give data\.images=big"
    ):
        find_images(str(tmp_path), csv, "id")


def test_several_columns_that_may_be_the_classes_are_refused_by_name(tmp_path):
    lay(tmp_path, *(f"{number}.jpg" for number in range(8)))
    csv = table(tmp_path, "id,sex,size,age", *(f"{n},{'mf'[n % 2]},{'sl'[n // 4]},{n}" for n in range(8)))
    with pytest.raises(InputError, match=r"could be any of 'sex', 'size'; give data\.label_column=sex"):
        find_label_column(str(tmp_path), csv, "id")


@pytest.fixture
def practice(tmp_path):
    """Return the root of pictures of patients, whose table.csv has two columns that may be the classes."""
    lay(tmp_path, *(f"{number}.jpg" for number in range(12)))
    rows = (f"{n}.jpg;{'ab'[n % 2]};p{n // 3};{n % 3}" for n in range(12))
    table(tmp_path, "Datei;Klasse;Patient;Satz", *rows, name="table.csv")
    return str(tmp_path)


def test_the_other_candidate_of_most_values_is_named_as_what_may_keep_pictures_together(practice):
    with pytest.raises(InputError) as refused:
        find_label_column(practice, "table.csv", "Datei")
    assert str(refused.value).endswith(
        "could be any of 'Klasse', 'Patient', 'Satz'; give data.label_column=Klasse; "
        "if pictures with the same 'Patient' belong together, give data.group_column=Patient, too"
    )


def test_columns_that_are_given_for_groups_and_what_is_held_out_are_not_the_classes(practice):
    assert find_label_column(practice, "table.csv", "Datei", "Patient", "Satz") == "Klasse"


def test_of_pictures_that_the_table_holds_out_no_groups_are_asked_for(practice):
    with pytest.raises(InputError, match=r"'Klasse', 'Patient'; give data\.label_column=Klasse$"):
        find_label_column(practice, "table.csv", "Datei", valid_column="Satz")


def test_a_column_that_is_called_like_classes_wins(tmp_path):
    lay(tmp_path, *(f"{number}.jpg" for number in range(8)))
    csv = table(tmp_path, "id,sex,Label", *(f"{n},{'mf'[n % 2]},{'sl'[n // 4]}" for n in range(8)))
    assert find_label_column(str(tmp_path), csv, "id") == "Label"


def test_a_table_that_names_no_files_is_refused_with_its_columns_and_the_folders(tmp_path):
    lay(tmp_path, "train/a.jpg", "test/b.jpg")
    csv = table(tmp_path, "id,label", "/abs/x.jpg,cat", "../y.jpg,dog")
    with pytest.raises(InputError) as refused:
        find_id_column(str(tmp_path), csv)
    said = str(refused.value)
    assert "(test/, train/); the columns are 'id' ('/abs/x.jpg', '../y.jpg'), 'label' ('cat', 'dog')" in said


def test_a_column_of_absolute_paths_is_named(tmp_path):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "labels.csv").write_text(f"file,label\n{tmp_path}/a.jpg,cat\n")
    with pytest.raises(InputError, match=r"the column 'file' holds absolute paths .*a\.jpg.*give them rel"):
        find_id_column(str(tmp_path), "labels.csv")


@pytest.mark.parametrize("name", ["/" + "x" * 300, "x" * 300 + "/a.jpg"])
def test_a_name_longer_than_any_file_system_takes_names_no_file(tmp_path, name):
    (tmp_path / "labels.csv").write_text(f"file,label\n{name},cat\n")
    with pytest.raises(InputError, match="no column names files"):
        find_id_column(str(tmp_path), "labels.csv")


@pytest.mark.parametrize("content", [b"", b"\0,\0\n1,2\n"])
def test_a_table_that_cannot_be_read_is_no_traceback(tmp_path, content):
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(InputError, match="no column names files"):
        find_id_column(str(tmp_path), "labels.csv")


@pytest.mark.parametrize(
    ("encoding", "place"), [("latin-1", r"byte 28 \(line 3\)"), ("utf-16", r"byte 0 \(line 1\)")]
)
def test_a_table_in_another_encoding_is_refused_with_the_byte_and_the_remedy(tmp_path, encoding, place):
    lay(tmp_path, "1.jpg", "2.jpg")
    (tmp_path / "labels.csv").write_bytes("Datei;Art\n1.jpg;rot\n2.jpg;grün\n".encode(encoding))
    with pytest.raises(
        InputError, match=rf"labels\.csv is not UTF-8 at {place}; save it as UTF-8 \(in Excel"
    ):
        find_id_column(str(tmp_path), "labels.csv")
