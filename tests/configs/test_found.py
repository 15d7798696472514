"""data=PATH and model=NAME, composed by Hydra as options of their groups."""

import sys
from pathlib import Path

import pytest
from composing import compose_from

from imageclf import InputError
from imageclf.configs import CONF_DIR, to_plain
from imageclf.configs.found.source import table_in
from imageclf.configs.quoting import quote_paths


@pytest.fixture
def here(monkeypatch, tmp_path) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lay(root: Path, *files: str) -> None:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def data(*overrides: str) -> dict:
    composed = compose_from(CONF_DIR, overrides, "train")
    return to_plain(composed.data) | {"size": composed.data.size}


def test_a_folder_becomes_the_keys_of_its_layout(here):
    lay(here, "pets/train/cat/1.jpg", "pets/val/cat/1.jpg")
    found = data("data=pets")
    keys = ("_target_", "root", "train", "valid", "test", "size")
    assert [found[key] for key in keys] == ["imageclf.data.FolderSource", "pets", "train", "val", None, 224]


@pytest.mark.parametrize("path", ["pets", "./pets", "pets/", "{here}/pets", "../{name}/pets"])
def test_a_folder_may_be_named_in_any_way(here, path):
    lay(here, "pets/cat/1.jpg")
    typed = path.format(here=here, name=here.name)
    assert data(f"data={typed}")["root"].rstrip("/") == typed.rstrip("/")


def test_a_key_that_is_given_wins_and_the_others_follow_it(here):
    lay(here, "pets/images/cat/1.jpg", "pets/valid/cat/1.jpg")
    found = data("data=pets", "data.train=images", "data.size=64")
    assert (found["train"], found["valid"], found["size"]) == ("images", "valid", 64)


@pytest.mark.parametrize("valid", ["testing", "testing/", "./testing"])
def test_a_folder_that_is_given_for_validation_is_not_taken_for_test_pictures(here, valid):
    lay(here, "pets/training/cat/1.jpg", "pets/testing/cat/1.jpg")
    found = data("data=pets", f"data.valid={valid}")
    assert (found["train"], found["valid"], found["test"]) == ("training", valid, None)


def test_a_table_becomes_the_keys_of_its_columns(here):
    lay(here, "pets/train/1.jpg", "pets/train/2.jpg", "pets/test/3.jpg")
    (here / "pets/labels.csv").write_text("id,kind\n1,cat\n2,dog\n")
    expected = {"id_column": "id", "label_column": "kind", "images": "train", "suffix": ".jpg"}
    for path in ("pets", "pets/labels.csv"):
        assert data(f"data={path}").items() >= expected.items()


def test_the_pictures_of_a_table_may_lie_elsewhere(here):
    lay(here, "elsewhere/1.png", "elsewhere/2.png")
    (here / "labels.csv").write_text("id,kind\n1,cat\n2,dog\n")
    found = data("data=labels.csv", "data.root=elsewhere")
    assert (found["root"], found["images"], found["suffix"]) == ("elsewhere", ".", ".png")
    assert found["csv"] == str(here / "labels.csv")


def test_a_column_that_is_given_is_not_looked_for(here):
    lay(here, "1.jpg", "2.jpg")
    (here / "labels.csv").write_text("id,sex,size\n1,m,s\n2,f,l\n")
    assert data("data=labels.csv", "data.label_column=size")["label_column"] == "size"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("nowhere", "data=nowhere: there is no such folder or file; .*one of csv, folder, stamps$"),
        ("./no/where", "data=./no/where: there is no such folder or file"),
        ("a.jpg", "data=a.jpg: this is no folder and no .csv file"),
        ("a.zip", "data=a.zip: this is an archive; unpack it, and give the path of its folder"),
        ("", "data=: there is no such folder or file"),
        ("x" * 300, r"data=x+: it cannot be read \(File name too long\)"),
    ],
)
def test_what_is_no_data_set_is_refused_with_what_there_is(here, path, said):
    lay(here, "a.jpg", "a.zip")
    with pytest.raises(InputError, match=said):
        data(f"data={path}")


def test_an_option_goes_before_a_folder_of_its_name(here):
    lay(here, "stamps/cat/1.jpg")
    assert data("data=stamps")["size"] == 128
    (typed,) = quote_paths(["data=./stamps"])
    assert data(typed)["root"] == str(here / "stamps")


def test_folders_that_may_be_classes_beside_a_table_that_lists_them_are_refused(here):
    lay(here, "pets/cat/1.jpg", "pets/dog/2.jpg")
    (here / "pets/files.csv").write_text("file,kind\ncat/1.jpg,tabby\ndog/2.jpg,pug\n")
    with pytest.raises(
        InputError, match=r"give data=pets/files\.csv, or data=folder data\.root=pets data\.train"
    ):
        data("data=pets")


def test_a_table_of_the_same_classes_as_the_folders_changes_nothing(here):
    lay(here, "pets/cat/1.jpg", "pets/dog/2.jpg")
    (here / "pets/files.csv").write_text("file,kind\ncat/1.jpg,cat\ndog/2.jpg,dog\n")
    assert data("data=pets")["_target_"] == "imageclf.data.FolderSource"


def test_a_table_that_lists_no_pictures_does_not_count(here):
    lay(here, "pets/cat/1.jpg", "pets/dog/2.jpg")
    (here / "pets/sources.csv").write_text("who,when\nme,today\n")
    assert table_in("pets") is None


def test_two_tables_are_refused(here):
    lay(here, "pets/1.jpg", "pets/2.jpg")
    for name in ("a", "b"):
        (here / f"pets/{name}.csv").write_text("id,kind\n1,cat\n2,dog\n")
    with pytest.raises(InputError, match=r"the one to learn from, data=pets/a\.csv or data=pets/b\.csv"):
        data("data=pets")


@pytest.mark.parametrize("sample", ["sample_submission.csv", "SampleSubmission.csv"])
def test_of_a_competition_the_table_of_the_training_pictures_is_taken(here, sample):
    lay(here, *(f"pets/{split}/{number}.jpg" for split in ("train", "test") for number in range(9)))
    rows = "".join(f"{number},{number % 2},{number % 3}\n" for number in range(9))
    (here / "pets/train.csv").write_text(f"id,kind,colour\n{rows}")
    (here / f"pets/{sample}").write_text("id,kind\n" + "".join(f"{number},0\n" for number in range(9)))
    assert table_in("pets") == Path("pets/train.csv")


def test_any_name_of_timm_is_a_model(here):
    composed = compose_from(CONF_DIR, ["model=convnext_tiny.fb_in22k", "model/loss=focal"], "train")
    assert composed.model.backbone == "convnext_tiny.fb_in22k"
    assert composed.model.weights == "hub"
    assert composed.model.loss.gamma == 2


def test_an_option_of_the_models_stays_one(here):
    assert compose_from(CONF_DIR, ["model=lite0"], "train").model.weights == "packaged"


@pytest.mark.parametrize("flag", ["--config-dir={0}", "hydra.searchpath=[file://{0}]"])
def test_a_model_and_a_data_set_of_a_folder_of_ones_own_go_first(command, here, flag):
    lay(here, "pets/cat/1.jpg", "mine/data/pets.yaml")
    (here / "mine/data/pets.yaml").write_text("defaults: [folder, _self_]\nroot: elsewhere\n")
    (here / "mine/model").mkdir()
    (here / "mine/model/net.yaml").write_text("defaults: [shared, _self_]\nbackbone: resnet18\n")
    arguments = [flag.format(here / "mine"), "data=pets", "model=net", "--cfg", "job"]
    outcome = command("train", *arguments)
    assert outcome.code == 0, outcome.err
    assert "root: elsewhere" in outcome.out
    assert "backbone: resnet18" in outcome.out


def test_data_sets_and_models_are_swept_like_options(command, here):
    lay(here, "pets/cat/1.jpg", "flowers/rose/1.jpg")
    outcome = command("train", "-m", "data=pets,flowers", "model=test_resnet,lite0", "seed=-1,2")
    assert outcome.mistakes[0].startswith("imageclf: job 0 (data=pets model=test_resnet seed=-1): seed=-1")


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", ["two words", "a,b", "a=b", "[1]", "{x}", "ünd", "it's", "$x", 'q"q'])
def test_a_folder_of_any_name_is_found(command, here, name):
    lay(here, f"{name}/cat/1.jpg")
    outcome = command("train", f"data={name}", "--cfg", "job", "--resolve", "--package", "data")
    assert outcome.code == 0, outcome.err
    assert "train: ." in outcome.out


def test_the_data_of_every_command_may_be_a_path(command, here, pictures, monkeypatch):
    for name in ("plan", "lr_find", "batch_size", "analyse"):
        outcome = command(name, f"data={pictures}", "--cfg", "job", "--resolve", "--package", "data")
        assert outcome.code == 0, (name, outcome.err)
        assert f"root: {pictures}" in outcome.out
    assert "torch" in sys.modules


def test_a_column_that_is_given_for_groups_is_not_asked_for_as_the_classes(here):
    lay(here, *(f"pets/{number}.jpg" for number in range(9)))
    rows = "".join(f"{number}.jpg,{number % 2},{number % 3}\n" for number in range(9))
    (here / "pets/files.csv").write_text(f"file,kind,patient\n{rows}")
    found = data("data=pets/files.csv", "data.group_column=patient")
    assert (found["label_column"], found["group_column"]) == ("kind", "patient")


def test_a_table_beside_one_folder_of_its_pictures_is_taken_though_its_classes_are_not_plain(here):
    lay(here, *(f"pets/pictures/{number}.jpg" for number in range(9)))
    rows = "".join(f"{number}.jpg,{number % 2},{number % 3}\n" for number in range(9))
    (here / "pets/files.csv").write_text(f"file,one,two\n{rows}")
    assert table_in("pets") == Path("pets/files.csv")
