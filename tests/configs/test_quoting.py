import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from imageclf import InputError
from imageclf.configs.quoting import flags_first, quote_paths, typed
from imageclf.system.command_line import quoted

NAMES = ["plain", "two words", "it's", 'say "x"', "a,b", "a=b", "[1]", "{x: 1}", "#1", "~x", "null", "12"]
NAMES += [
    "${oc.env:HOME}",
    "back\\slash",
    "ends\\",
    "\\'",
    "\\\\",
    "für Ähren",
    "(x)",
    "a;b",
    "!x",
    "&",
    "日本",
]


def value_of(argument: str) -> object:
    (override,) = OverridesParser.create().parse_overrides([argument])
    return OmegaConf.create({"root": override.value()}).root


@pytest.fixture(autouse=True)
def _here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_any_text_in_quotes_reaches_the_config_as_it_is(name):
    assert value_of(f"data.root={quoted(name)}") == name


@pytest.mark.parametrize("name", NAMES)
def test_a_text_of_python_reaches_the_config_as_it_is(name):
    assert value_of(typed("data.root", name)) == name
    inner = value_of(typed("tags", [name, {"a": name}]))
    assert OmegaConf.to_container(inner, resolve=True) == [name, {"a": name}]


@pytest.mark.parametrize("value", [3, 0.5, 1e-5, True, None, [1, None], {"a": {"b": False}}, np.float32(0.5)])
def test_a_value_of_python_reaches_the_config_as_it_is(value):
    assert value_of(typed("key", value)) == value


def test_a_mapping_has_words_for_keys():
    with pytest.raises(InputError, match="model: Hydra takes no key such as 'a b'"):
        typed("model", {"a b": 1})


def test_an_object_is_no_value_of_a_config():
    with pytest.raises(InputError, match="callbacks: a config cannot hold a set: give a text, a number"):
        typed("callbacks", {1, 2})


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("null", "12")])
@pytest.mark.parametrize("key", ["data", "data.root", "+data.test", "run", "hydra.run.dir"])
@pytest.mark.fault(
    "Terminals, paths and networks",
    "A path has spaces, quotes, `=`, `,`, `$` or brackets",
    "It reaches the config as it is",
)
def test_a_path_that_exists_reaches_the_config_as_it_is(tmp_path, name, key):
    (tmp_path / name).mkdir()
    (argument,) = quote_paths([f"{key}={name}"])
    assert value_of(argument) == name


@pytest.mark.parametrize("name", ["runs/für Ähren", "runs/a,b", "runs/a=b", "runs/(x", "runs/[1"])
def test_a_run_directory_that_is_yet_to_be_made_is_read_as_it_stands(name):
    (argument,) = quote_paths([f"hydra.run.dir={name}"])
    assert value_of(argument) == name


@pytest.mark.parametrize(
    "argument",
    [
        "data=a,b",
        "data=[a.jpg,b.jpg]",
        "data='a b'",
        "hydra.run.dir=runs/mine",
        "hydra.run.dir='runs/${seed}'",
        "ckpt_path=${oc.env:CKPT}",
        "data.root=PICTURES",
        "schedule.phases.head.lr=[1e-4,1e-3]",
        "seed=1,2",
        "--config-dir=a,b",
        "-m",
    ],
)
def test_what_hydra_understands_and_is_no_path_stays(argument):
    assert quote_paths([argument]) == [argument]


def test_an_interpolation_in_a_run_directory_stays_one():
    (argument,) = quote_paths(["hydra.run.dir=runs/a,${seed}"])
    assert argument == "hydra.run.dir='runs/a,${seed}'"


def test_quoting_twice_is_quoting_once(tmp_path):
    (tmp_path / "a,b").mkdir()
    once = quote_paths(["data=a,b", "hydra.run.dir=x,y"])
    assert quote_paths(once) == once


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["data=a", "-m", "seed=1,2"], ["-m", "data=a", "seed=1,2"]),
        (
            ["seed=1", "--config-dir", "mine", "schedule=own"],
            ["--config-dir", "mine", "seed=1", "schedule=own"],
        ),
        (["~callbacks.tta", "--cfg", "job"], ["--cfg", "job", "~callbacks.tta"]),
        (["-sc", "query=bash"], ["-sc", "query=bash"]),
        (["--config-dir=mine", "+a=1", "b=2"], ["--config-dir=mine", "+a=1", "b=2"]),
    ],
)
def test_flags_may_stand_anywhere(typed, expected):
    assert flags_first(typed) == expected


def test_an_override_behind_a_flag_is_read(command):
    outcome = command("train", "seed=1", "--cfg", "job", "tags=[x]")
    assert outcome.code == 0, outcome.err
    assert "seed: 1" in outcome.out
    assert "- x" in outcome.out


def test_each_path_of_a_list_that_hydra_cannot_read_is_quoted():
    (argument,) = quote_paths(["data=[a=b.jpg, c.jpg]"])
    assert argument == "data=['a=b.jpg','c.jpg']"


@pytest.mark.parametrize("key", ["hydra.run.dir", "hydra.sweep.dir"])
def test_a_folder_that_hydra_makes_may_lie_in_the_home_folder(key, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for path in ("~/runs/mine", "'~/runs/mine'", "~"):
        (argument,) = quote_paths([f"{key}={path}"])
        assert argument == f"{key}={path.replace('~', str(tmp_path))}"
    (argument,) = quote_paths([f"{key}=runs/~mine"])
    assert value_of(argument) == "runs/~mine"
