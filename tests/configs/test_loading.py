"""What commands load, they load without the garbage collector."""

import gc
import sys
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import pytest

from imageclf.configs.loading import load

COMMAND = "imageclf.commands.collect"


class Watch(MetaPathFinder):
    """Notes whether the collector is on when the module of a command is looked for."""

    def __init__(self) -> None:
        self.seen: list[bool] = []

    def find_spec(self, name: str, path: object, target: object = None) -> None:
        if name == COMMAND:
            self.seen.append(gc.isenabled())


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Write a module that notes whether the collector is on, and fails if it is told to."""
    name = "noting_the_collector"
    (tmp_path / f"{name}.py").write_text(
        "import gc, os\nON = gc.isenabled()\nMADE = [[] for _ in range(2000)]\nos.environ['NO_FAILURE']\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("NO_FAILURE", "1")
    yield name
    sys.modules.pop(name, None)


def test_the_collector_rests_until_all_is_there_and_leaves_it_alone_afterwards(module: str) -> None:
    before = gc.get_freeze_count()
    assert load(module).ON is False
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + 2000


def test_what_is_there_already_is_returned_and_nothing_more_is_left_alone(module: str) -> None:
    loaded = load(module)
    before = gc.get_freeze_count()
    made_since = [[number] for number in range(1000)]
    assert load(module) is loaded
    assert gc.get_freeze_count() <= before
    assert len(made_since) == 1000


def test_what_a_user_has_made_is_still_collected(module: str) -> None:
    before = gc.get_freeze_count()
    assert load(module, keep=False).ON is False
    assert gc.get_freeze_count() <= before


def test_it_works_on_after_an_import_that_failed(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_FAILURE")
    with pytest.raises(KeyError, match="NO_FAILURE"):
        load(module)
    assert gc.isenabled()


def test_it_stays_off_where_it_was_off(module: str) -> None:
    gc.disable()
    try:
        load(module)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_command_is_loaded_so(command: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    watch = Watch()
    monkeypatch.delitem(sys.modules, COMMAND, raising=False)
    monkeypatch.setattr(sys, "meta_path", [watch, *sys.meta_path])
    assert command("collect", "root=nowhere", f"hydra.run.dir={tmp_path}").code == 1
    assert watch.seen == [False]
