"""The commands on the page of a run: what a shell and Hydra make of them."""

import shlex
import subprocess
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from imageclf.report.run_commands import training_command, using_commands

ODD = ["runs/train/1", "my runs/a=b,c", "it's [1]{x}", "$HOME/`id`;#&", "${x}/ä", "a\\b"]


def arguments(command: str) -> list[str]:
    """Return what a shell passes on to a command."""
    name, _, rest = command.partition(" ")
    script = f"printf '%s\\0' {rest}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True, text=True)
    return [name, *done.stdout.split("\0")[:-1]]


@pytest.mark.parametrize("folder", ODD)
def test_any_run_directory_reaches_the_commands_as_it_is(folder):
    for _, command in using_commands(Path(folder)):
        run = next(each for each in arguments(command) if each.startswith("run="))
        assert OmegaConf.create({"run": OverridesParser.create().parse_override(run).value()}).run == folder


def test_commands_that_use_a_run_trust_the_modules_of_its_network():
    commands = [arguments(command) for _, command in using_commands(Path("runs/1"), ["my_head", "my_net"])]
    assert all("trust=[my_head,my_net]" in command for command in commands)
    assert len(commands) == 3


def test_the_training_command_has_the_overrides_as_they_were_typed():
    typed = ["data.root=/my pictures", "+x='a,b'", "tags=[a,b]", "seed=1"]
    assert arguments(training_command(typed)) == ["imageclf-train", *typed]


def test_a_run_that_was_continued_does_not_tell_how_it_was_started():
    assert training_command(["ckpt_path=auto"]) is None


def test_a_run_without_overrides_is_trained_by_the_bare_command():
    assert training_command([]) == "imageclf-train"
    assert shlex.split(training_command(["seed=1"])) == ["imageclf-train", "seed=1"]
