"""--help: purpose, examples, and a described line for each group, option and key."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from imageclf.configs import CONF_DIR
from imageclf.configs.help import examples, groups_of, help_text, keys_of, meaning_of, yaml_of

COMMANDS = ["train", "plan", "lr_find", "batch_size", "analyse", "prefetch"]
COMMANDS += [f"commands/{path.stem}" for path in sorted(Path(CONF_DIR, "commands").glob("*.yaml"))]
KEYS = ["data/shared", "model/shared", "schedule/phase", "trainer/shared", "analysis/default"]
TRAIN = help_text("train", "purpose")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_examples_that_say_what_they_do(name):
    found = examples(yaml_of(name))
    assert len(found) >= (1 if name == "commands/predict" else 2)
    assert all(command.startswith("imageclf-") and meaning for command, _, meaning in found)


@pytest.mark.parametrize("name", [*COMMANDS, *KEYS])
def test_every_key_is_described(name):
    assert [each.name for each in keys_of(yaml_of(name)) if not each.meaning] == []


def test_every_group_and_option_is_described():
    groups = list(groups_of(yaml_of("train")))
    assert [entries[0].name for entries in groups] == [
        *("data", "transforms", "model", "model/loss", "model/optimizer", "schedule", "callbacks/lr_finder"),
        *("metrics", "trainer", "logger", "cluster", "task", "experiment", "debug", "hparams_search"),
    ]
    assert [each.name for entries in groups for each in entries if not each.meaning] == []


@pytest.mark.parametrize("word", ["shared", "phase", "commands", "checkpoint", "terminate_on_nan"])
def test_what_is_no_choice_for_users_is_not_listed(word):
    assert not re.search(rf"^ {{2,4}}{word}\b(?!\.)", TRAIN, re.MULTILINE)


@pytest.mark.parametrize(
    ("group", "option", "said"),
    [
        ("trainer", "cpu", "one process on the CPU"),
        (
            "schedule",
            "minimal",
            "nearly as good in less time; the head, then the whole network with restarts",
        ),
        ("logger", "wandb", "also Weights & Biases; pip install 'imageclf[wandb]' and `wandb login` first"),
    ],
)
def test_an_option_means_what_its_file_opens_with(group, option, said):
    assert meaning_of(group, option) == said


def test_keys_have_their_defaults_and_the_comment_behind_or_above_them(tmp_path):
    file = tmp_path / "some.yaml"
    file.write_text(
        "# imageclf-train: what it does.\ndefaults:\n  - shared\n\none: 1 # first\n# above\n# and more\n"
        "two: null\nnode: # of some\n  _target_: a.B\n  three: [1,2] # third\nhydra:\n  run:\n    dir: .\n"
    )
    assert keys_of(file) == [
        ("one", "1", "first"),
        ("two", "null", "above and more"),
        ("node", "", "of some"),
        ("node.three", "[1,2]", "third"),
    ]


def test_the_keys_of_the_help_are_those_of_the_config(composed):
    cfg = composed()
    for name, node in (("data/shared", cfg.data), ("model/shared", cfg.model), ("train", cfg)):
        for key in (each.name.split(".")[0] for each in keys_of(yaml_of(name))):
            assert key in node


def test_no_line_is_wider_than_a_hundred_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    assert max(map(len, help_text("train", "purpose").splitlines())) <= 100


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_comes_before_hydra_and_without_torch(flag):
    code = f"import sys; sys.argv[1:] = ['data=nowhere', {flag!r}]; from imageclf.train import main\n"
    code += "try: main()\nexcept SystemExit as leaving: assert leaving.code == 0\n"
    code += "assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("imageclf-train: train an image classifier on your pictures.\n")


@pytest.mark.parametrize(("flag", "said"), [("--hydra-help", "== Flags =="), ("--cfg=job", "seed: 42")])
def test_hydras_own_views_are_as_they_were(command, flag, said):
    outcome = command("train", flag)
    assert outcome.code == 0
    assert said in outcome.out


@pytest.mark.parametrize(("typed", "offered"), [("schedule=", "schedule=minimal"), ("data.si", "data.size=")])
def test_tab_completes_options_and_keys(command, monkeypatch, typed, offered):
    line = f"imageclf-train {typed}"
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    outcome = command("train", "-sc", "query=bash")
    assert offered in outcome.out.split()
    assert OverridesParser.create().parse_override(f"{offered}1")


def test_what_completes_by_tab_is_installed_by_one_line(command):
    outcome = command("train", "-sc", "install=bash")
    assert "complete -o nospace -o default -F hydra_bash_completion" in outcome.out
