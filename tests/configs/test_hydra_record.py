"""The record of the command that started a run, in a directory that Hydra writes into."""

import pytest

from imageclf import InputError
from imageclf.configs.saved.hydra_record import command_of, keep_record, read_choices, read_overrides

START, LATER = ("quick", "seed=1"), ("lesson2", "ckpt_path=auto")


@pytest.fixture
def hydra(tmp_path):
    """Return a function that writes what Hydra does, before any command of ours runs."""

    def write(schedule: str, override: str) -> None:
        (tmp_path / ".hydra").mkdir(exist_ok=True)
        choices = f"choices: {{schedule: {schedule}, hydra/launcher: basic, logger: null}}"
        text = f"hydra:\n  job: {{config_name: train}}\n  runtime:\n    {choices}\n"
        (tmp_path / ".hydra" / "hydra.yaml").write_text(text)
        (tmp_path / ".hydra" / "overrides.yaml").write_text(f"- {override}\n")

    return write


def test_what_a_run_was_started_with_is_read(hydra, tmp_path):
    hydra(*START)
    assert read_choices(tmp_path) == {"schedule": "quick", "logger": "None"}
    assert read_overrides(tmp_path) == ["seed=1"]
    assert command_of(tmp_path) == "train"


def test_a_later_command_changes_nothing_of_it(hydra, tmp_path):
    hydra(*START)
    keep_record(tmp_path)
    hydra(*LATER)
    assert read_choices(tmp_path)["schedule"] == "quick"
    assert read_overrides(tmp_path) == ["seed=1"]


def test_a_run_that_starts_anew_has_the_record_of_its_new_start(hydra, tmp_path):
    hydra(*START)
    keep_record(tmp_path)
    hydra(*LATER)
    keep_record(tmp_path)
    assert read_choices(tmp_path)["schedule"] == "lesson2"


def test_the_choices_of_a_command_that_continued_an_old_run_are_not_its_own(hydra, tmp_path):
    hydra(*LATER)
    assert read_choices(tmp_path) == {}


def test_a_directory_without_a_record_is_read_and_kept_as_it_is(tmp_path):
    keep_record(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert (read_choices(tmp_path), read_overrides(tmp_path), command_of(tmp_path)) == ({}, None, "")


@pytest.mark.parametrize("content", ["hydra: 3", "- 1", "hydra: {", "hydra: {job: [1]}", "\x00"])
def test_a_damaged_record_is_named(content, hydra, tmp_path):
    hydra(*START)
    (tmp_path / ".hydra" / "hydra.yaml").write_text(content)
    with pytest.raises(InputError, match=r"hydra\.yaml .*: remove it, or run again"):
        command_of(tmp_path)
