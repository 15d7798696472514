from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from imageclf import InputError
from imageclf.configs import expand_data
from imageclf.configs.short_data import data_options, quoted

OPTIONS = ("csv", "folder", "stamps")
NAMES = ["plain", "two words", "it's", 'say "x"', "a,b", "a=b", "[1]", "{x: 1}", "#1", "~x", "null", "12"]
NAMES += ["${oc.env:HOME}", "back\\slash", "ends\\", "\\'", "\\\\"]


def expanded(*arguments):
    return expand_data(arguments)


@pytest.fixture
def here(monkeypatch, tmp_path):
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def folders(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).mkdir(parents=True)
    return root


def test_folders_of_classes_are_split():
    assert expanded("data=/") == ["data=folder", "data.root='/'", "data.train=.", "data.valid=null"]


def test_a_folder_of_training_pictures_is_split(here):
    folders(here / "pets", "train")
    assert expanded("data=pets") == ["data=folder", "data.root='pets'", "data.valid=null"]


def test_folders_of_training_and_validation_pictures_are_taken_as_they_are(here):
    folders(here / "pets", "train", "valid")
    assert expanded("data=pets") == ["data=folder", "data.root='pets'"]


@pytest.mark.parametrize("given", ["data.valid=held_out", "++data.valid=held_out"])
def test_a_key_that_is_given_wins(here, given):
    folders(here / "pets", "train")
    assert expanded("data=pets", given) == ["data=folder", "data.root='pets'", given]


def test_a_folder_of_training_pictures_by_another_name_may_have_validation_pictures_beside_it(here):
    folders(here / "pets", "images", "valid")
    assert expanded("data=pets", "data.train=images")[1:] == ["data.root='pets'", "data.train=images"]


def test_other_arguments_keep_their_places(here):
    folders(here / "pets", "train", "valid")
    arguments = expanded("seed=1", "data=pets", "data.size=64")
    assert arguments == ["seed=1", "data=folder", "data.root='pets'", "data.size=64"]


@pytest.mark.parametrize(
    "argument", ["data=stamps", "data=nowhere", "data=", "data=a.jpg", "transforms=pets"]
)
def test_what_is_an_option_or_no_folder_stays(here, argument):
    folders(here, "stamps", "pets")
    (here / "a.jpg").touch()
    assert expanded(argument) == [argument]


def test_a_path_that_is_no_folder_is_refused_with_the_options(here):
    with pytest.raises(InputError, match=r"data=./pets: there is no such folder; name one, or csv, folder"):
        expanded("data=./pets")


def test_a_sweep_over_options_of_a_subfolder_stays():
    assert expanded("data=mine/cats,mine/dogs") == ["data=mine/cats,mine/dogs"]


def test_a_folder_called_like_an_option_can_be_given_as_a_path(here):
    folders(here, "stamps")
    assert expanded("data=./stamps")[1] == "data.root='./stamps'"


def test_the_long_form_stays(here):
    arguments = ["data=folder", "data.root=pets", "data.train=.", "-m", "--help"]
    assert expanded(*arguments) == arguments


def test_expanding_twice_is_expanding_once(here):
    folders(here, "pets")
    assert expanded(*expanded("data=pets")) == expanded("data=pets")


def test_the_home_folder_may_be_meant(monkeypatch, here):
    folders(here, "pets/train", "pets/valid")
    monkeypatch.setenv("HOME", str(here))
    assert expanded("data=~/pets") == ["data=folder", "data.root='~/pets'"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_folder_reaches_the_config_as_it_is(name):
    (override,) = OverridesParser.create().parse_overrides([f"data.root={quoted(name)}"])
    config = OmegaConf.create({"root": override.value()})
    assert config.root == name


def test_the_options_are_the_files_of_the_config_group():
    assert {*OPTIONS} <= data_options(["data=x"])


@pytest.mark.parametrize("flags", [("--config-dir", "mine"), ("--config-dir=mine",), ("-cd", "mine")])
def test_options_of_a_folder_of_ones_own_count(here, flags):
    folders(here, "mine/data")
    (here / "mine" / "data" / "pets").mkdir()
    for name in ("pets", "pets/cats"):
        (here / "mine" / "data" / f"{name}.yaml").touch()
    assert {"pets", "pets/cats"} <= data_options(["seed=1", *flags])
