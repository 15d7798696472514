import logging
import os
from pathlib import Path

import pytest

from imageclf import InputError
from imageclf.data.sources.folder import FolderSource
from imageclf.data.sources.listing import picture_ids


def fill(root: Path, *names: str) -> Path:
    """Make empty files."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def read(root: Path, train="train", valid: str | None = "valid", test: str | None = None):
    return FolderSource(str(root), train, valid, test).read()


STANDARD = ("train/cat/1.jpg", "train/dog/1.jpg", "valid/cat/2.jpg", "valid/dog/2.jpg")


def test_train_and_valid_folders_become_splits(tmp_path):
    table = read(fill(tmp_path, *STANDARD))
    assert table.ids == ["train/cat/1", "train/dog/1", "valid/cat/2", "valid/dog/2"]
    assert table.frame["split"].tolist() == ["train", "train", "valid", "valid"]
    assert table.frame["label"].tolist() == ["cat", "dog", "cat", "dog"]
    assert table.paths == [str(tmp_path / name) for name in STANDARD]


def test_without_a_valid_folder_the_split_stays_open(tmp_path):
    table = read(fill(tmp_path, *STANDARD), valid=None)
    assert table.frame["split"].tolist() == ["", ""]


def test_the_root_itself_can_hold_the_classes(tmp_path):
    table = read(fill(tmp_path, "cat/1.jpg", "dog/1.jpg"), train=".", valid=None)
    assert table.ids == ["cat/1", "dog/1"]


def test_valid_and_test_folders_beside_classes_are_no_classes(tmp_path):
    fill(tmp_path, "cat/1.jpg", "dog/1.jpg", "held/out/cat/2.jpg", "held/out/dog/2.jpg", "test/3.jpg")
    table = read(tmp_path, train=".", valid="held/out", test="test")
    assert table.classes == ("cat", "dog")
    assert table.ids == ["cat/1", "dog/1", "held/out/cat/2", "held/out/dog/2", "test/3"]


def test_rows_go_by_split_then_class_then_file_in_natural_order(tmp_path):
    names = [f"{split}/c{c}/{i}.jpg" for split in ("train", "valid") for c in (2, 10) for i in (2, 10)]
    assert read(fill(tmp_path, *reversed(names))).ids == [name[:-4] for name in names]


def test_a_test_folder_of_pictures_is_unlabelled(tmp_path):
    table = read(fill(tmp_path, *STANDARD, "test/10.jpg", "test/9.jpg"), test="test")
    assert [table.ids[row] for row in table.rows("test")] == ["test/9", "test/10"]
    assert table.labels[table.rows("test")].tolist() == [-1, -1]


def test_a_test_folder_of_class_folders_is_labelled(tmp_path):
    table = read(fill(tmp_path, *STANDARD, "test/dog/9.jpg"), test="test")
    assert table.labels[table.rows("test")].tolist() == [1]


def test_a_test_folder_of_an_unknown_class_names_the_remedy(tmp_path):
    fill(tmp_path, *STANDARD, "test/unknown/9.jpg")
    with pytest.raises(InputError, match=r"data\.test: name the folder of the pictures itself.*'unknown'"):
        read(tmp_path, test="test")


def test_pictures_in_nested_folders_belong_to_the_class(tmp_path):
    table = read(fill(tmp_path, *STANDARD, "train/cat/tabby/3.jpg"))
    assert "train/cat/tabby/3" in table.ids


SUFFIXES = ("jpg", "jpeg", "png", "bmp", "gif", "webp", "tif", "tiff", "ppm", "pgm", "JPG", "Png")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_each_picture_suffix_is_taken_in_any_case(tmp_path, suffix):
    assert "train/cat/x" in read(fill(tmp_path, *STANDARD, f"train/cat/x.{suffix}")).ids


def test_hidden_and_system_files_are_skipped_and_counted(tmp_path, caplog):
    junk = [
        "train/cat/._1.jpg",
        "train/.DS_Store",
        "train/.ipynb_checkpoints/1.jpg",
        "train/__MACOSX/1.jpg",
        "train/dog/Thumbs.db",
        "train/dog/desktop.ini",
    ]
    with caplog.at_level(logging.INFO):
        table = read(fill(tmp_path, *STANDARD, *junk))
    assert len(table) == 4
    assert "skipped 6 hidden or system files and folders" in caplog.text


def test_one_hidden_file_is_said_in_the_singular(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        read(fill(tmp_path, *STANDARD, "train/cat/.DS_Store"))
    assert "skipped 1 hidden or system file or folder: 'cat/.DS_Store'" in caplog.text


def test_files_without_a_picture_suffix_are_skipped_counted_and_named(tmp_path, caplog):
    read(fill(tmp_path, *STANDARD, "train/cat/notes.txt", "valid/dog/README"))
    assert "skipped 2 files without a picture suffix: 'cat/notes.txt', 'dog/README'" in caplog.text


def test_pictures_beside_class_folders_are_skipped_and_counted(tmp_path, caplog):
    assert len(read(fill(tmp_path, *STANDARD, "train/loose.jpg"))) == 4
    assert "skipped 1 picture outside class folders: 'loose.jpg'" in caplog.text


RUN = ("train.log", "plan.png", ".hydra/hydra.yaml", "lr_find/head.png")


@pytest.mark.fault(
    "Folders and tables", "Runs or a cache lie among the class folders", "They are skipped, and that is said"
)
@pytest.mark.parametrize(
    ("folder", "holds"),
    [
        ("runs/train/2026", RUN),
        ("runs/train/a-sweep/0", (*RUN, "../multirun.yaml")),
        ("cat/my-run", RUN),
        ("a-run", RUN),
        # Of a command that reads the folder it was started in.
        ("runs/analyse/2026", (".hydra/hydra.yaml", ".hydra/config.yaml")),
        ("cache", ("CACHEDIR.TAG", "pictures/0f/about.json", "pictures/0f/1.jpg")),
    ],
)
def test_runs_and_caches_in_the_data_are_no_classes_and_that_is_said(tmp_path, caplog, folder, holds):
    fill(tmp_path, "cat/1.jpg", "dog/1.jpg", *(f"{folder}/{name}" for name in holds))
    with caplog.at_level(logging.INFO):
        table = read(tmp_path, train=".", valid=None)
    assert (table.classes, table.ids) == (("cat", "dog"), ["cat/1", "dog/1"])
    said = [name for name in ("runs/", "cat/my-run/", "a-run/", "cache/") if folder.startswith(name[:-1])]
    assert f"skipped 1 folder of a run or a cache: {said[0]!r}" in caplog.text
    assert "without a picture suffix" not in caplog.text


def test_a_data_set_that_another_program_of_hydras_has_drawn_is_read(tmp_path):
    fill(
        tmp_path, *(f"{name}/{file}" for name in "ab" for file in (".hydra/hydra.yaml", "draw.log", "1.png"))
    )
    assert read(tmp_path, train=".", valid=None).classes == ("a", "b")


def test_a_folder_of_runs_alone_holds_no_classes(tmp_path):
    fill(tmp_path, *(f"runs/train/2026/{name}" for name in RUN))
    with pytest.raises(InputError, match="holds no class folders"):
        read(tmp_path, train=".", valid=None)


def test_clean_folders_are_read_in_silence(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        read(fill(tmp_path, *STANDARD))
    assert caplog.text == ""


def test_links_to_pictures_and_to_folders_are_followed(tmp_path):
    fill(tmp_path, "data/train/cat/1.jpg", "data/train/dog/1.jpg", "store/9.jpg", "store/elk/1.jpg")
    (tmp_path / "data/train/cat/9.jpg").symlink_to(tmp_path / "store/9.jpg")
    (tmp_path / "data/train/elk").symlink_to(tmp_path / "store/elk")
    table = read(tmp_path / "data", valid=None)
    assert table.ids == ["train/cat/1", "train/cat/9", "train/dog/1", "train/elk/1"]


@pytest.mark.parametrize("target", ["train/cat", "train", "."])
def test_a_link_back_to_where_it_lies_is_named(tmp_path, target):
    fill(tmp_path, *STANDARD)
    (tmp_path / "train/cat/loop").symlink_to(tmp_path / target)
    with pytest.raises(InputError, match=r"data\.root: the link '.*/train/cat/loop' leads back"):
        read(tmp_path)


def test_a_loop_over_two_links_is_found(tmp_path):
    fill(tmp_path, *STANDARD, "store/1.jpg")
    (tmp_path / "train/cat/there").symlink_to(tmp_path / "store")
    (tmp_path / "store/back").symlink_to(tmp_path / "train/cat")
    with pytest.raises(InputError, match="there/back' leads back"):
        read(tmp_path)


def test_home_and_environment_are_expanded(tmp_path, monkeypatch):
    fill(tmp_path / "pets", *STANDARD)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WHERE", str(tmp_path))
    assert len(read(Path("~/pets"))) == len(read(Path("$WHERE/pets"))) == 4


def test_a_relative_root_gives_absolute_paths(tmp_path, monkeypatch):
    fill(tmp_path / "pets", *STANDARD)
    monkeypatch.chdir(tmp_path)
    assert read(Path("pets")).paths[0] == str(tmp_path / "pets/train/cat/1.jpg")


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["a.jpg", "b.jpg"], ["a", "b"]),
        (["a.jpg", "a.png", "b.gif"], ["a.jpg", "a.png", "b"]),
        (["a.jpg", "a.jpg.png", "a.png"], ["a.jpg", "a.jpg.png", "a.png"]),
        (["x.y/a.b.jpg", "c.JPG"], ["x.y/a.b", "c"]),
        ([], []),
    ],
)
def test_ids_keep_their_suffix_only_where_they_would_clash(names, ids):
    assert picture_ids(names) == ids


def test_a_missing_root_is_named(tmp_path):
    with pytest.raises(InputError, match=r"data\.root='.*gone' is not a folder"):
        read(tmp_path / "gone")


def test_a_root_with_a_name_longer_than_any_file_system_takes_is_refused():
    with pytest.raises(InputError, match=r"^data\.root='x+' is not a folder"):
        FolderSource("x" * 300, train="train", valid=None, test=None).read()


def test_a_missing_train_folder_offers_the_folders_there_are(tmp_path):
    fill(tmp_path, "cat/1.jpg", "dog/1.jpg")
    with pytest.raises(
        InputError, match=r"data\.train='train'.*'cat', 'dog'.*data\.train=\. data\.valid=null"
    ):
        read(tmp_path)


def test_a_missing_train_folder_in_an_empty_root_is_named(tmp_path):
    with pytest.raises(InputError, match=r"data\.train='train' is not a folder"):
        read(tmp_path)


def test_a_missing_valid_folder_offers_to_split_one_off(tmp_path):
    with pytest.raises(InputError, match=r"data\.valid='valid' is not a folder.*data\.valid=null"):
        read(fill(tmp_path, *STANDARD[:2]))


def test_a_missing_test_folder_is_named(tmp_path):
    with pytest.raises(InputError, match=r"data\.test='test' is not a folder"):
        read(fill(tmp_path, *STANDARD), test="test")


def test_one_folder_for_two_splits_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"data\.train='train'.*must be different folders"):
        read(fill(tmp_path, *STANDARD), valid="./train")


def test_all_empty_class_folders_are_named_at_once(tmp_path):
    fill(tmp_path, *STANDARD, "train/elk/notes.txt")
    (tmp_path / "valid/fox").mkdir()
    with pytest.raises(InputError, match=r"data\.root: folders without a picture.*'train/elk', 'valid/fox'"):
        read(tmp_path)


def test_photos_of_a_format_that_is_not_read_are_to_be_converted(tmp_path, caplog):
    remedy = "; convert .avif and .heic to .jpg or .png, which are read"
    read(fill(tmp_path, *STANDARD, "train/cat/IMG_1.HEIC", "train/cat/web.avif", "train/cat/notes.txt"))
    assert remedy in caplog.text
    with pytest.raises(InputError, match=f"'train/elk'; fill or remove them{remedy}"):
        read(fill(tmp_path, "train/elk/IMG_2.HEIC"))


def test_an_empty_test_folder_is_refused(tmp_path):
    fill(tmp_path, *STANDARD, "test/.keep")
    with pytest.raises(InputError, match=r"without a picture.*'test'"):
        read(tmp_path, test="test")


def test_a_root_without_class_folders_is_named_with_what_it_holds(tmp_path):
    fill(tmp_path, "1.jpg", "notes.txt", "more.txt")
    with pytest.raises(InputError) as refused:
        read(tmp_path, train=".", valid=None)
    start = (
        f"data.root={str(tmp_path)!r}: this folder holds no class folders, only 1 picture and 2 other files; "
    )
    assert str(refused.value).startswith(start)


def test_pictures_without_class_folders_are_refused(tmp_path):
    fill(tmp_path, "train/1.jpg", "train/2.jpg")
    with pytest.raises(InputError, match=r"data\.train='train'.*no class folders, only 2 pictures; "):
        read(tmp_path, valid=None)


def test_a_class_only_in_valid_is_refused_and_named(tmp_path):
    with pytest.raises(InputError, match=r"data\.valid: .*without training pictures: 'elk'"):
        read(fill(tmp_path, *STANDARD, "valid/elk/1.jpg"))


def test_a_class_only_in_train_is_a_warning(tmp_path, caplog):
    read(fill(tmp_path, *STANDARD, "train/elk/1.jpg"))
    assert "no validation picture: 'elk'" in caplog.text


def test_one_class_is_refused_by_the_source(tmp_path):
    with pytest.raises(InputError, match=r"data\.root.*two or more classes.*'cat'"):
        read(fill(tmp_path, "train/cat/1.jpg"), valid=None)


@pytest.mark.parametrize("other", ["train/Cat/1.jpg", "valid/CAT/1.jpg", "train/cat /1.jpg"])
def test_class_folders_that_look_alike_are_refused(tmp_path, other):
    with pytest.raises(InputError, match=r"data\.root: class folders that differ only.*'cat"):
        read(fill(tmp_path, *STANDARD, other))


def test_class_folders_in_two_unicode_forms_are_refused(tmp_path):
    with pytest.raises(InputError, match="Unicode form"):
        read(fill(tmp_path, *STANDARD, "train/\u00e9/1.jpg", "valid/e\u0301/1.jpg"))


def test_names_that_are_not_utf8_are_refused(tmp_path):
    fill(tmp_path, *STANDARD)
    try:
        (tmp_path / "train/cat" / os.fsdecode(b"caf\xe9.jpg")).touch()
    except OSError:
        pytest.skip("this file system refuses such names itself")
    with pytest.raises(InputError, match=r"data\.root: names in '.*train/cat' are not valid UTF-8 \('caf"):
        read(tmp_path)


@pytest.mark.parametrize("held_out", ["valid", "Val", "validation", "test"])
def test_splits_are_no_classes(tmp_path, held_out):
    fill(tmp_path, "train/cat/1.jpg", f"{held_out}/cat/1.jpg", "more/1.jpg")
    with pytest.raises(InputError, match=rf"like splits of the data; use data={tmp_path}, which"):
        read(tmp_path, train=".", valid=None)


def test_trains_and_cars_are_classes(tmp_path):
    assert read(fill(tmp_path, "train/1.jpg", "car/1.jpg"), train=".", valid=None).classes == ("car", "train")
