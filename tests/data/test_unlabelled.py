"""What `data` of imageclf-predict stands for: pictures, folders, tables and standard input."""

import io
import os
import sys
from types import SimpleNamespace

import pytest

from imageclf import InputError
from imageclf.data.sources.unlabelled import unlabelled_table

CLASSES = ("blue", "green", "red")


@pytest.fixture
def pictures(tmp_path):
    """Return a folder of three files, of which nothing but the names counts here."""
    for name in ("a.jpg", "b=1, [c].png", "deep/a.jpg"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    return tmp_path / "in"


def paths(data, column=None):
    return unlabelled_table(data, CLASSES, column).paths


def refusal(data, column=None):
    with pytest.raises(InputError) as refused:
        unlabelled_table(data, CLASSES, column)
    return str(refused.value)


def test_a_folder_is_read_at_any_depth(pictures):
    assert unlabelled_table(str(pictures), CLASSES).ids == ["a", "b=1, [c]", "deep/a"]


def test_the_pictures_are_of_the_test_split_and_have_no_labels(pictures):
    table = unlabelled_table(str(pictures), CLASSES)
    assert set(table.frame["split"]) == {"test"}
    assert set(table.labels) == {-1}


def test_a_single_picture_may_have_any_suffix(pictures):
    (pictures / "photo").touch()
    table = unlabelled_table(str(pictures / "photo"), CLASSES)
    assert (table.ids, table.paths) == (["photo"], [str(pictures / "photo")])


def test_several_keep_their_order(pictures):
    given = [str(pictures / "deep"), str(pictures / "a.jpg")]
    assert paths(given) == [f"{pictures}/deep/a.jpg", f"{pictures}/a.jpg"]


def test_pictures_of_one_name_are_told_apart_by_their_paths(pictures):
    table = unlabelled_table([str(pictures / "deep"), str(pictures / "a.jpg")], CLASSES)
    assert table.ids == [f"{pictures}/deep/a", f"{pictures}/a"]


def test_a_picture_that_is_named_twice_counts_once(pictures):
    assert len(paths([str(pictures), str(pictures / "a.jpg")])) == 3


@pytest.mark.parametrize(
    ("content", "column"),
    [
        ("path\na.jpg\ndeep/a.jpg\n", None),
        ("id;path\n1;a.jpg\n2;deep/a.jpg\n", None),
        ("file\tlabel\na.jpg\tx\ndeep/a.jpg\ty\n", "file"),
    ],
)
def test_the_paths_of_a_csv_begin_at_its_folder(content, column, pictures):
    (pictures / "list.csv").write_text(content)
    table = unlabelled_table(str(pictures / "list.csv"), CLASSES, column)
    assert (table.ids, table.paths) == (["a", "deep/a"], [f"{pictures}/a.jpg", f"{pictures}/deep/a.jpg"])


def test_standard_input_has_a_path_on_each_line(pictures, monkeypatch):
    monkeypatch.chdir(pictures)
    lines = io.BytesIO(b"a.jpg\r\n\nno\xff.jpg\n")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=lines))
    odd = os.fsdecode(b"no\xff.jpg")
    assert paths("-") == [f"{pictures}/a.jpg", f"{pictures}/{odd}"]


@pytest.mark.parametrize(
    ("content", "column", "said"),
    [
        ("", None, "is empty; give a header and a row for each picture"),
        ("path\n", None, "has a header but no rows with a path"),
        ("a,b\n1,2\n", None, "name the column of paths by column=, one of 'a', 'b'"),
        ("a,b\n1,2\n", "c", "column=c: "),
    ],
)
def test_a_csv_without_paths_is_refused(content, column, said, pictures):
    (pictures / "list.csv").write_text(content)
    assert said in refusal(str(pictures / "list.csv"), column)


def test_what_is_not_there_is_named_with_the_way_to_give_several(tmp_path):
    (tmp_path / "a.jpg").touch()
    assert refusal("x.jpg") == "data=x.jpg: there is no such file or folder"
    # Longer than any file system takes.
    assert refusal("x" * 300).endswith("x: it cannot be read (File name too long)")
    assert refusal("a.jpg,b.jpg").endswith("; several are given as data=[a.jpg,b.jpg]")
    assert "a path with a comma needs quotes in a list" in refusal([str(tmp_path / "a.jpg"), "b"])


def test_a_folder_without_pictures_is_named_with_what_counts_as_one(tmp_path):
    assert f"data={tmp_path} holds no pictures (.jpg, .jpeg, .png" in refusal(str(tmp_path))


def test_what_a_run_has_left_in_the_folder_is_not_predicted(tmp_path):
    for name in (
        "1.png",
        "runs/train/0/plan.png",
        "runs/train/0/train.log",
        "runs/train/0/.hydra/hydra.yaml",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert unlabelled_table(str(tmp_path), ("cat", "dog")).ids == ["1"]


def test_photos_of_a_format_that_is_not_read_are_named_with_the_remedy(tmp_path, caplog):
    (tmp_path / "IMG_1.HEIC").touch()
    remedy = "; convert .heic to .jpg or .png, which are read"
    assert refusal(str(tmp_path)).endswith(remedy)
    (tmp_path / "1.jpg").touch()
    assert len(paths(str(tmp_path))) == 1
    assert remedy in caplog.text
