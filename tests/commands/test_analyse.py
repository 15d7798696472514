"""A data set with everything that can be wrong with it, analysed as a user would."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from imageclf.commands.analyse import analyse, inspect_all, sample_rows
from imageclf.configs import to_plain
from imageclf.report.plots.sheet import NUM_VIEWS
from imageclf.training.parts.table import read_table
from imageclf.training.run_config import RunConfig, parse

BROKEN = {"train/cat/cut": "truncated", "train/cat/empty": "empty", "valid/dog/words": "not a picture"}
ODD = {
    "cmyk": ("JPEG", "CMYK"),
    "deep": ("PNG", "I;16"),
    "palette": ("PNG", "P"),
    "sideways": ("JPEG", "RGB"),
}


def picture(seed: int, height: int = 70, width: int = 90) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def draw(root: Path) -> None:
    """Draw four sound pictures of each class and split."""
    for number, place in enumerate(("train/cat", "train/dog", "valid/cat", "valid/dog")):
        (root / place).mkdir(parents=True)
        for index in range(4):
            picture(10 * number + index).save(root / place / f"{index}.png")


def add_broken(root: Path) -> None:
    picture(90).save(root / "train/cat/cut.jpg")
    whole = (root / "train/cat/cut.jpg").read_bytes()
    (root / "train/cat/cut.jpg").write_bytes(whole[: len(whole) // 2])
    (root / "train/cat/empty.png").touch()
    (root / "valid/dog/words.jpg").write_text("these are words")


def add_odd(root: Path) -> None:
    """Add pictures that are unusual, but sound."""
    exif = Image.Exif()
    exif[0x0112] = 6
    picture(80).save(root / "train/dog/sideways.jpg", exif=exif)
    picture(81).convert("CMYK").save(root / "train/dog/cmyk.jpg")
    picture(82).convert("P").save(root / "train/dog/palette.png")
    deep = np.random.default_rng(83).integers(0, 65536, (70, 90), dtype=np.uint16)
    Image.fromarray(deep).save(root / "train/dog/deep.png")


def add_twins(root: Path) -> None:
    Image.open(root / "train/cat/1.png").save(root / "train/cat/1_again.bmp")
    shutil.copy(root / "train/cat/2.png", root / "valid/cat/two.png")
    y, x = np.mgrid[0:3:140j, 0:4:180j]
    waves = np.stack([np.sin(5 * x + y), np.cos(4 * x - 3 * y), np.sin(3 * x * y)], axis=2)
    photo = Image.fromarray(np.rint(127.5 + 120 * waves).astype(np.uint8))
    photo.save(root / "train/cat/photo.png")
    photo.resize((90, 70)).save(root / "train/dog/small.jpg", quality=95)


@pytest.fixture(scope="module")
def messy(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("messy")
    draw(root)
    add_broken(root)
    add_odd(root)
    add_twins(root)
    picture(70, 9, 12).save(root / "train/dog/icon.png")
    frames = [picture(seed) for seed in range(60, 63)]
    frames[0].save(root / "valid/cat/moving.gif", save_all=True, append_images=frames[1:])
    return root


@pytest.fixture(scope="module")
def config(composed):
    """Return a function that composes the config of an analysis of a folder."""

    def of(root: Path, *overrides: str):
        return to_plain(
            composed("data=folder", f"data.root={root}", "data.size=64", *overrides, name="analyse")
        )

    return of


@pytest.fixture(scope="module")
def found(messy, config):
    return analyse(config(messy))


@pytest.fixture(scope="module")
def rows(found) -> pd.DataFrame:
    """The table of pictures by id."""
    return found.pictures.set_index("id")


@pytest.fixture
def here(monkeypatch, tmp_path) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def named(found, kind: str) -> dict[str, str]:
    """Return the ids of the pictures with a kind of problem, and of those that they repeat."""
    ids = [*found.pictures["id"], ""]
    return {ids[each.row]: ids[each.other] for each in found.problems if each.kind == kind}


def test_all_broken_pictures_are_named(found):
    assert named(found, "broken") == dict.fromkeys(BROKEN, "")


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_picture_is_told_with_its_fault(rows, name):
    assert BROKEN[name] in rows.loc[name, "fault"]


def test_every_picture_has_a_row(rows, messy):
    assert len(rows) == len([path for path in messy.rglob("*") if path.is_file()])


@pytest.mark.parametrize("name", ODD)
def test_an_unusual_picture_is_sound(rows, name):
    row = rows.loc[f"train/dog/{name}"]
    assert (row["fault"], (row["format"], row["mode"])) == ("", ODD[name])


def test_a_picture_stored_sideways_has_its_upright_size(rows):
    assert rows.loc["train/dog/sideways", ["width", "height"]].tolist() == [70, 90]


def test_a_copy_in_another_format_is_a_duplicate(found):
    assert named(found, "duplicate") == {"train/cat/1_again": "train/cat/1"}


def test_a_picture_in_training_and_validation_is_a_leak(found):
    assert named(found, "leak") == {"valid/cat/two": "train/cat/2"}


def test_a_copy_of_half_the_size_looks_the_same(found, rows):
    assert named(found, "look_alike") == {"train/dog/small": "train/cat/photo"}
    assert rows.loc["train/dog/small", ["same_as", "like"]].tolist() == ["", "train/cat/photo"]


def test_the_first_of_two_repeats_nothing(rows):
    assert (
        rows.loc[["train/cat/1", "train/cat/2", "train/cat/photo"], ["same_as", "like"]].eq("").all(axis=None)
    )


def test_a_tiny_picture_and_an_animation_are_found(found):
    assert (named(found, "tiny"), named(found, "animated")) == (
        {"train/dog/icon": ""},
        {"valid/cat/moving": ""},
    )


def test_the_sheet_shows_a_picture_of_each_class_whole_and_in_views(found):
    assert [sample.label for sample in found.samples] == ["cat", "dog"]
    assert found.samples[0].whole.shape == (70, 90, 3)
    for sample in found.samples:
        assert sample.views.shape == (NUM_VIEWS, 64, 64, 3)
        assert len({view.tobytes() for view in sample.views}) == NUM_VIEWS


def test_of_many_classes_some_that_are_spread_are_on_the_sheet():
    labels = [f"class {number:03d}" for number in range(100)]
    pictures = pd.DataFrame({"label": labels, "split": "train", "fault": ["gone", *[""] * 99]})
    assert sample_rows(pictures) == [1, 34, 66, 99]


def test_the_data_set_is_named(found, messy):
    assert found.root == str(messy)


def test_a_crop_that_cuts_much_off_is_warned_of(config, tmp_path):
    for number, name in enumerate(("cat", "dog")):
        (tmp_path / name).mkdir()
        for seed in range(5):
            picture(seed + 10 * number, 40, 120).save(tmp_path / name / f"{seed}.png")
    given = ("data.train=.", "data.valid=null")
    said = analyse(config(tmp_path, *given, "data.resize=crop")).warning
    assert said.startswith("data.resize=crop cuts more than a third off 10 of 10 pictures, and ")
    assert analyse(config(tmp_path, *given, "data.resize=squish")).warning == ""


def test_without_augmentation_a_square_picture_has_the_same_view_seven_times(config, tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for seed in range(5):
            picture(seed + 10 * len(name) + ord(name[0]), 64, 64).save(tmp_path / name / f"{seed}.png")
    plain = analyse(
        config(tmp_path, "data.train=.", "data.valid=null", "transforms=none", "data.resize=squish")
    )
    assert [len({view.tobytes() for view in sample.views}) for sample in plain.samples] == [1, 1]


@pytest.mark.parametrize("split", ["stratified", "random", "fastai"])
def test_the_splits_are_those_of_training(config, pictures, split):
    asked = config(pictures, "data.train=.", "data.valid=null", f"data.split={split}", "data.split_seed=3")
    trained = read_table(parse(asked, RunConfig).data).frame[["id", "split"]]
    pd.testing.assert_frame_equal(analyse(asked).pictures[["id", "split"]], trained)


def test_the_splits_are_those_of_a_training_that_skips_broken_pictures(config, pictures, tmp_path):
    root = shutil.copytree(pictures, tmp_path / "copy")
    (root / "blue" / "3.png").write_bytes(b"")
    asked = config(root, "data.train=.", "data.valid=null", "data.on_error=skip", "data.split=random")
    trained = read_table(parse(asked, RunConfig).data).frame.set_index("id")["split"]
    shown = analyse(asked).pictures.set_index("id")["split"]
    assert shown.loc["blue/3"] == ""
    assert shown.drop("blue/3").to_dict() == trained.to_dict()


def test_groups_stay_whole_though_broken_pictures_are_skipped(composed, tmp_path):
    rows = ["id,label,owner"]
    (tmp_path / "train").mkdir()
    for number in range(24):
        picture(number).save(tmp_path / "train" / f"{number}.png")
        rows.append(f"{number},{('cat', 'dog')[number % 2]},{number // 4}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    (tmp_path / "train" / "5.png").write_bytes(b"")
    keys = ["data.suffix=.png", "data.group_column=owner", "data.on_error=skip", "data.size=64"]
    asked = to_plain(composed("data=csv", f"data.root={tmp_path}", *keys, name="analyse"))
    shown = analyse(asked).pictures.set_index("id")["split"].drop("5")
    assert (
        shown.to_dict() == read_table(parse(asked, RunConfig).data).frame.set_index("id")["split"].to_dict()
    )


def test_where_no_picture_can_be_read_there_is_an_analysis_all_the_same(config, tmp_path):
    draw(tmp_path)
    for path in tmp_path.rglob("*.png"):
        path.write_bytes(b"")
    found = analyse(config(tmp_path))
    assert found.samples == []
    assert len(named(found, "broken")) == 16


def test_views_of_16_bits_show_the_lighting_that_those_of_8_bits_show(tmp_path, config):
    grey = np.random.default_rng(0).integers(60, 180, (80, 80), dtype=np.uint8)
    for split, label in [("train", "cat"), ("train", "dog"), ("valid", "cat"), ("valid", "dog")]:
        for kind, pixels in [("shallow", grey), ("deep", grey.astype(np.uint16) * 257)]:
            (tmp_path / kind / split / label).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / kind / split / label / "one.png")
    views = [analyse(config(tmp_path / kind)).samples[0].views for kind in ("shallow", "deep")]
    shallow, deep = (each.mean(axis=(1, 2, 3)) for each in views)
    assert shallow.std() > 5
    assert np.corrcoef(shallow, deep)[0, 1] > 0.99


def test_files_are_inspected_in_order_however_many_there_are(messy):
    paths = [str(messy / f"train/{name}.png") for name in ("cat/1", "dog/icon", "cat/2")] * 200
    assert [each.width for each in inspect_all(paths)] == [90, 12, 90] * 200


def test_the_short_form_analyses_a_folder(messy, command, here):
    outcome = command("analyse", f"data={messy}", "data.size=64")
    assert outcome.code == 0, outcome.err
    page = Path(outcome.out.splitlines()[-1])
    assert page.parent.parent == here / "runs" / "analyse"
    assert {path.name for path in page.parent.iterdir() if path.is_file()} == {
        *("pictures.csv", "classes.csv", "problems.csv", "sizes.png", "balance.png", "augmented.png"),
        "analysis.html",
    }


def test_the_terminal_counts_each_kind_of_problem(messy, command, here):
    lines = command("analyse", f"data={messy}", "data.size=64").out.splitlines()
    words = [line.split() for line in lines]
    assert ["Pictures", "29", "3", "cannot", "be", "read"] in words
    assert ["Cannot", "be", "read", "3", "train/cat/cut,", "..."] in words
    assert ["Same", "picture", "in", "two", "splits", "1", "valid/cat/two"] in words


def test_without_a_terminal_there_is_no_progress_bar(messy, command, here):
    assert command("analyse", f"data={messy}").err == ""


def test_a_class_called_like_a_colour_keeps_its_name(command, here):
    draw(here / "set")
    (here / "set/train/cat/0.png").write_bytes(b"")
    for split in ("train", "valid"):
        (here / "set" / split / "cat").rename(here / "set" / split / "[red]")
    assert "train/[red]/0" in command("analyse", "data=set").out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["data=folder", "data.root=nowhere"], "data.root='nowhere' is not a folder"),
        (["data=empty"], "data.root='empty': this folder holds no class folders, and no pictures; "),
        (["data=nowhere"], "data=nowhere: there is no such folder or file"),
        (["data=./nowhere"], "data=./nowhere: there is no such folder"),
        (["data=empty", "data.sise=3"], "did you mean data.size?"),
        (["data=set", "data.valid_pct=2", "data.valid=null"], "data.valid_pct=2"),
        (["data=set", "transforms.max_zoom=0"], "transforms.max_zoom=0"),
    ],
)
def test_a_mistake_is_one_sentence(arguments, sentence, command, here):
    (here / "empty").mkdir()
    draw(here / "set")
    outcome = command("analyse", *arguments)
    assert outcome.code == 1
    assert len(outcome.mistakes) == 1
    assert sentence in outcome.mistakes[0]
