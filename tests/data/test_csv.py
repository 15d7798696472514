import logging
from pathlib import Path

import pytest

from imageclf import InputError
from imageclf.data.sources.csv import CsvSource
from imageclf.data.sources.names import slips
from imageclf.data.sources.table import make_table

PLAIN = "id,breed\na,cat\nb,dog\nc,cat\n"


def put(root: Path, text: str | bytes = PLAIN, files=("a.jpg", "b.jpg", "c.jpg")) -> Path:
    """Write labels.csv and empty files below train."""
    content = text.encode() if isinstance(text, str) else text
    (root / "labels.csv").write_bytes(content)
    (root / "train").mkdir()
    for name in files:
        (root / "train" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "train" / name).touch()
    return root


def read(root: Path, **changes):
    keys = {
        "csv": "labels.csv",
        "images": "train",
        "suffix": ".jpg",
        "id_column": None,
        "label_column": None,
        "group_column": None,
        "valid_column": None,
        "test": None,
    }
    return CsvSource(root=str(root), **(keys | changes)).read()


def refusal(root: Path, **changes) -> str:
    with pytest.raises(InputError) as caught:
        read(root, **changes)
    return str(caught.value)


def test_the_first_two_columns_are_id_and_label(tmp_path):
    table = read(put(tmp_path))
    assert table.ids == ["a", "b", "c"]
    assert table.frame["label"].tolist() == ["cat", "dog", "cat"]
    assert table.frame["split"].tolist() == ["", "", ""]
    assert table.paths == [str(tmp_path / f"train/{name}.jpg") for name in "abc"]


def test_rows_stay_in_the_order_of_the_csv(tmp_path):
    assert read(put(tmp_path, "id,breed\nc,cat\na,cat\nb,dog\n")).ids == ["c", "a", "b"]


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace("\n", "\r\n"),
        "\ufeff" + PLAIN,
        PLAIN.replace("id,breed", " id , breed "),
        'id,breed\n"a","cat"\n"b","dog"\n"c","cat"\n',
        '"id","breed"\na,cat\nb,dog\nc,cat\n',
        PLAIN.rstrip("\n"),
        PLAIN + "\n\n",
        PLAIN + ",\n,\n",
        PLAIN.replace("b,", "\nb,"),
        "\ufeff" + PLAIN.replace(",", ";").replace("\n", "\r\n"),
    ],
    ids=[
        "semicolon",
        "tab",
        "crlf",
        "bom",
        "spaces",
        "quoted",
        "quoted-header",
        "no-end",
        "blank-end",
        "empty-rows",
        "blank",
        "all",
    ],
)
@pytest.mark.fault(
    "Folders and tables",
    "A CSV has semicolons, tabs, a BOM, CRLF, quotes or spaces in its header",
    "It reads like the plain one",
)
def test_each_way_to_write_a_csv_reads_like_the_plain_one(tmp_path, content):
    plain = make_table(
        {
            "id": ["a", "b", "c"],
            "path": [f"{tmp_path}/train/{name}.jpg" for name in "abc"],
            "label": ["cat", "dog", "cat"],
            "split": ["", "", ""],
        }
    )
    table = read(put(tmp_path, content), id_column="id", label_column="breed")
    assert table.frame.equals(plain.frame)


def test_a_separator_inside_quotes_does_not_count(tmp_path):
    table = read(put(tmp_path, '"id,or,name";breed\na;"x,y;z"\nb;dog\nc;dog\n'))
    assert table.classes == ("dog", "x,y;z")


@pytest.mark.fault(
    "Folders and tables",
    "Ids look like numbers (`00123`), labels like `NA`, `null` or `1.0`",
    "They stay text, exactly as written",
)
def test_ids_and_labels_are_text_exactly_as_written(tmp_path):
    labels = ["NA", "null", "None", "nan", "golden retriever", "1", "1.0", "1e5", "0", "-", " x", "#", "True"]
    text = "id,label\n" + "".join(f"{i:05d},{label}\n" for i, label in enumerate(labels))
    table = read(put(tmp_path, text, [f"{i:05d}.jpg" for i in range(len(labels))]))
    assert table.ids[1:3] == ["00001", "00002"]
    assert table.frame["label"].tolist() == labels
    assert table.num_classes == len(labels)


def test_columns_are_taken_by_name(tmp_path):
    table = read(put(tmp_path, "n,label,file\n1,cat,a\n2,dog,b\n"), id_column="file", label_column="label")
    assert table.ids == ["a", "b"]


def test_the_other_column_is_the_default_when_one_is_named(tmp_path):
    table = read(put(tmp_path, "label,file\ncat,a\ndog,b\n"), id_column="file")
    assert table.frame["label"].tolist() == ["cat", "dog"]


@pytest.mark.parametrize("key", ["id_column", "label_column", "valid_column"])
def test_a_missing_column_is_refused_with_those_there_are(tmp_path, key):
    message = refusal(put(tmp_path), **{key: "klass"})
    assert message == f"data.{key}='klass' names no column of labels.csv, which has 'id', 'breed'."


def test_a_column_named_twice_in_the_header_is_refused(tmp_path):
    message = refusal(put(tmp_path, "id,x,x\na,cat,cat\n"), label_column="x")
    assert "data.label_column='x' names more than one column" in message


def test_one_column_for_both_is_refused(tmp_path):
    assert "name two columns" in refusal(put(tmp_path), id_column="id", label_column="id")


@pytest.mark.parametrize("suffix", [".jpg", "", None])
def test_ids_may_include_the_suffix(tmp_path, suffix):
    table = read(put(tmp_path, "id,breed\na.jpg,cat\nb.jpg,dog\n"), suffix=suffix)
    assert table.ids == ["a.jpg", "b.jpg"]
    assert table.paths[0].endswith("/train/a.jpg")


def test_an_id_that_is_a_complete_file_name_needs_no_suffix(tmp_path):
    table = read(put(tmp_path, "id,breed\na.png,cat\nb,dog\n", ["a.png", "b.jpg"]))
    assert [Path(path).name for path in table.paths] == ["a.png", "b.jpg"]


def test_the_suffix_may_be_any_end_of_the_file_names(tmp_path):
    table = read(put(tmp_path, "id,breed\na,cat\nb,dog\n", ["a_x.png", "b_x.png"]), suffix="_x.png")
    assert table.ids == ["a", "b"]


def test_ids_may_name_sub_folders(tmp_path):
    table = read(put(tmp_path, "id,breed\nx/a,cat\n./x//b,dog\n", ["x/a.jpg", "x/b.jpg"]))
    assert table.ids == ["x/a", "./x//b"]
    assert table.paths == [f"{tmp_path}/train/x/a.jpg", f"{tmp_path}/train/x/b.jpg"]


def test_the_images_folder_may_be_the_root_itself(tmp_path):
    put(tmp_path)
    for name in "abc":
        (tmp_path / f"{name}.jpg").touch()
    assert read(tmp_path, images=".").paths[0] == f"{tmp_path}/a.jpg"


@pytest.mark.parametrize("bad", ["../a", "x/../../a", "/etc/a", ".."])
@pytest.mark.fault("Folders and tables", "An id is `../x` or an absolute path", "It is refused with its row")
def test_ids_that_leave_the_images_folder_are_refused_with_their_rows(tmp_path, bad):
    message = refusal(put(tmp_path, f"id,breed\na,cat\n{bad},dog\n"), suffix="" if bad == ".." else ".jpg")
    assert f"data.csv: ids must not leave data.images, but do in row 3: '{bad}'." in message


@pytest.mark.fault(
    "Folders and tables", "Ids have no file", "All are listed with their rows, before training"
)
def test_all_missing_files_are_listed_with_rows_and_what_is_there(tmp_path):
    rows = "".join(f"x{i},cat\n" for i in range(12))
    message = refusal(put(tmp_path, PLAIN + rows, ["a.jpg", "b.jpg", "c.JPG"]))
    assert "data.images='train', data.suffix='.jpg': 13 of 15 files are missing, in rows 4, 5" in message
    assert "and 3 more: 'c.jpg', 'x0.jpg'" in message
    assert "their folders hold files such as 'a.jpg', 'b.jpg', 'c.JPG'" in message


@pytest.mark.parametrize("folder", ["y", "y" * 300], ids=["missing", "longer than any file system takes"])
def test_a_missing_sub_folder_is_a_missing_file(tmp_path, folder):
    assert f"1 of 2 files is missing, in row 3: '{folder}/b.jpg'" in refusal(
        put(tmp_path, f"id,breed\na,cat\n{folder}/b,dog\n")
    )


def test_a_folder_is_no_file(tmp_path):
    put(tmp_path, "id,breed\na,cat\nb,dog\n", ["a.jpg"])
    (tmp_path / "train/b.jpg").mkdir()
    assert "row 3: 'b.jpg'" in refusal(tmp_path)


@pytest.mark.fault("Folders and tables", "A label or an id is blank", "The rows are listed")
def test_blank_ids_and_labels_are_listed_with_rows(tmp_path):
    message = refusal(put(tmp_path, "id,breed\na,\n ,dog\nb,  \nc,cat\n,cat\n"))
    assert "the id is blank in rows 3, 6;" in message
    assert "the label is blank in rows 2, 4;" in message
    assert "missing" not in message


def test_a_row_without_a_label_cell_has_a_blank_label(tmp_path):
    assert "the label is blank in row 3;" in refusal(put(tmp_path, "id,breed\na,cat\nb\n"))


def test_rows_are_numbered_by_their_first_line(tmp_path):
    text = 'id,breed\n\na,"two\nlines"\n\nb,cat\nx,dog\n'
    assert "in row 7: 'x.jpg'" in refusal(put(tmp_path, text))


def test_every_kind_of_mistake_is_told_at_once(tmp_path):
    text = "id,breed\n,cat\nb,\n../c,cat\nx,dog\na,cat\na,dog\n"
    message = refusal(put(tmp_path, text))
    for part in (
        "id is blank in row 2",
        "label is blank in row 3",
        "row 4: '../c'",
        "rows 6, 7",
        "row 5: 'x",
    ):
        assert part in message


@pytest.mark.fault("Folders and tables", "A row is there twice", "It counts once, with a warning")
def test_a_repeated_row_is_dropped_with_a_warning(tmp_path, caplog):
    table = read(put(tmp_path, PLAIN + "a,cat\nb.jpg,dog\n"))
    assert table.ids == ["a", "b", "c"]
    assert "dropped 2 rows that repeat others, rows 5, 6: 'a', 'b.jpg'" in caplog.text


@pytest.mark.fault("Folders and tables", "An id has two labels", "All its rows are listed")
def test_an_id_with_two_labels_is_refused_with_all_its_rows(tmp_path):
    message = refusal(put(tmp_path, PLAIN + "a,cat\na,dog\n"))
    assert "an id must have one label and split; it has several in rows 2, 5, 6: 'a'." in message


def test_an_id_in_both_splits_is_refused(tmp_path):
    message = refusal(put(tmp_path, "id,breed,v\na,cat,0\nb,dog,0\na,cat,1\n"), valid_column="v")
    assert "rows 2, 4: 'a'" in message


@pytest.mark.parametrize(("no", "yes"), [("0", "1"), ("False", "TRUE"), ("no", "Yes"), ("train", "valid")])
def test_the_valid_column_decides_the_split(tmp_path, no, yes):
    text = f"id,breed,v\na,cat,{no}\nb,dog,{no}\nc,cat, {yes}\n"
    table = read(put(tmp_path, text), valid_column="v")
    assert table.frame["split"].tolist() == ["train", "train", "valid"]


def test_other_values_of_the_valid_column_are_refused_with_rows(tmp_path):
    message = refusal(put(tmp_path, "id,breed,v\na,cat,0\nb,dog,maybe\nc,cat,\n"), valid_column="v")
    assert message.startswith("data.valid_column: values must be among 1, true, yes, valid, 0")
    assert message.endswith("in rows 3, 4.")


def test_a_class_only_in_valid_is_refused(tmp_path):
    text = "id,breed,v\na,cat,0\nb,dog,0\nc,elk,1\n"
    assert "data.valid_column: add training pictures" in refusal(put(tmp_path, text), valid_column="v")


@pytest.mark.fault("Folders and tables", "Files have no row", "They are counted in a notice")
def test_pictures_without_a_row_are_counted(tmp_path, caplog):
    put(tmp_path, PLAIN, ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.png", "notes.txt", "._a.jpg"])
    with caplog.at_level(logging.INFO):
        read(tmp_path)
    assert "2 pictures have no row in the CSV: 'd.jpg', 'e.png'" in caplog.text


def test_a_clean_csv_is_read_in_silence(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        read(put(tmp_path))
    assert caplog.text == ""


def test_test_pictures_come_last_with_ids_below_their_folder(tmp_path):
    put(tmp_path)
    (tmp_path / "test").mkdir()
    for name in ("10.jpg", "9.jpg", "a.jpg"):
        (tmp_path / "test" / name).touch()
    table = read(tmp_path, test="test")
    assert table.ids[3:] == ["9", "10", "a"]
    assert table.rows("test").tolist() == [3, 4, 5]
    assert table.labels[3:].tolist() == [-1, -1, -1]
    assert table.paths[3] == f"{tmp_path}/test/9.jpg"


def test_an_empty_or_missing_test_folder_is_refused(tmp_path):
    put(tmp_path)
    assert "data.test='test' is not a folder" in refusal(tmp_path, test="test")
    (tmp_path / "test").mkdir()
    assert "data.test='test' holds no picture" in refusal(tmp_path, test="test")


def test_a_missing_csv_or_images_folder_is_named(tmp_path):
    put(tmp_path)
    assert "data.csv='" in refusal(tmp_path, csv="gone.csv")
    assert "data.images='gone' is not a folder" in refusal(tmp_path, images="gone")
    assert "data.root='" in refusal(tmp_path / "gone")


@pytest.mark.parametrize(
    ("content", "byte"),
    [(b"id,breed\na,caf\xe9\n", 14), (PLAIN.encode("utf-16"), 0), (PLAIN.encode("utf-16-le"), 1)],
)
@pytest.mark.fault("Folders and tables", "A CSV is in Latin-1", "It is refused, with the byte and the remedy")
def test_another_encoding_is_refused_with_the_byte(tmp_path, content, byte):
    message = refusal(put(tmp_path, content))
    assert f"is not UTF-8 at byte {byte} (line" in message
    assert message.endswith("save it as UTF-8 (in Excel: Save as, CSV UTF-8).")


@pytest.mark.parametrize("content", ["", "\n", "id\na\n"])
def test_a_csv_of_fewer_than_two_columns_is_refused(tmp_path, content):
    assert "needs a header of two or more columns" in refusal(put(tmp_path, content))


def test_a_csv_without_rows_is_refused(tmp_path):
    assert "holds a header but no rows" in refusal(put(tmp_path, "id,breed\n\n"))


@pytest.mark.parametrize("row", ["a,cat, tabby", "a,cat,"])
@pytest.mark.fault(
    "Folders and tables", "A row has more cells than the header", "It is refused with its line"
)
def test_a_row_with_more_cells_than_the_header_is_refused_with_its_line(tmp_path, row):
    message = refusal(put(tmp_path, f"id,breed\n{row}\n"))
    assert "data.csv='" in message
    assert "Expected 2 fields in line 2, saw 3; quote cells" in message


@pytest.mark.fault("Folders and tables", "A quote is never closed", "It is refused")
def test_an_open_quote_is_refused(tmp_path):
    assert "EOF inside string" in refusal(put(tmp_path, 'id,breed\na,"cat\nb,dog\n'))


@pytest.mark.fault("Folders and tables", "Two labels only look equal", "Both are named")
def test_labels_that_only_look_equal_are_refused(tmp_path):
    assert "data.label_column: labels that differ only" in refusal(put(tmp_path, "id,b\na,cat\nb, cat\n"))


@pytest.mark.parametrize(
    ("label", "meant"),
    [("persain", "; did you mean 'persian'?"), ("siamese", ""), ("persian2", "")],
)
def test_a_label_that_occurs_once_and_nearly_as_another_is_taken_for_a_slip(tmp_path, caplog, label, meant):
    rows = "".join(f"{name},{label if name == 'c' else 'persian'}\n" for name in "abc")
    assert len(read(put(tmp_path, f"id,breed\n{rows}")).classes) == 2
    assert caplog.messages == ([f"only one picture is labelled '{label}'{meant}"] if meant else [])


def test_among_individuals_with_one_picture_each_no_name_is_taken_for_a_slip():
    assert slips({"anna": 2} | {f"anna{letter}": 1 for letter in "abcdefghijk"}) == {}


def test_labels_in_different_case_are_classes_of_their_own_with_a_warning(tmp_path, caplog):
    assert read(put(tmp_path, "id,letter\na,x\nb,X\n")).classes == ("X", "x")
    assert "differ only by case are different classes: 'X', 'x'" in caplog.text


def test_one_class_is_refused_for_a_csv(tmp_path):
    assert "two or more classes" in refusal(put(tmp_path, "id,breed\na,cat\nb,cat\n"))


def test_rows_of_one_value_of_the_group_column_are_one_group(tmp_path):
    text = "id,breed,patient\na,cat,p 1\nb,dog,02\nc,cat,p 1\n"
    assert read(put(tmp_path, text), group_column="patient").groups.tolist() == ["p 1", "02", "p 1"]


def test_rows_with_a_blank_group_are_groups_of_their_own(tmp_path):
    groups = read(put(tmp_path, "id,breed,patient\na,cat,\nb,dog,1\nc,cat,\n"), group_column="patient").groups
    assert len(set(groups)) == 3


def test_test_pictures_are_in_no_group_of_the_csv(tmp_path):
    root = put(tmp_path, "id,breed,patient\na,cat,1\nb,dog,1\nc,cat,1\n")
    (root / "new").mkdir()
    (root / "new" / "d.jpg").touch()
    groups = read(root, group_column="patient", test="new").groups
    assert groups.tolist()[:3] == ["1"] * 3 and groups.iloc[3] != "1"


def test_a_csv_without_a_group_column_has_no_groups(tmp_path):
    assert read(put(tmp_path)).groups is None


def where(**changes):
    keys = dict.fromkeys(["suffix", "id_column", "label_column", "group_column", "valid_column", "test"])
    return CsvSource(**(keys | {"root": "set", "csv": "ill.csv", "images": "scans"} | changes)).where


def test_what_was_read_says_that_groups_stay_together():
    said = "from ill.csv, whole groups of its column 'patient' together, with its files in set/scans"
    assert where(group_column="patient") == said


def test_groups_are_not_said_where_a_column_holds_out_the_rows():
    assert "patient" not in where(group_column="patient", valid_column="is_valid")


def test_a_column_that_is_missing_is_sought_in_the_csv_that_was_given(tmp_path):
    root = put(tmp_path)
    (root / "labels.csv").rename(root / "table.csv")
    assert "names no column of table.csv" in refusal(root, csv="table.csv", label_column="klass")


def test_a_group_column_that_is_not_there_is_refused(tmp_path):
    assert refusal(put(tmp_path), group_column="patient").startswith("data.group_column='patient'")
