"""The table of a run: read once, with broken pictures refused or left out."""

import logging
import shutil
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import pytest

from imageclf import InputError
from imageclf.launch import tasks
from imageclf.training.parts import table as run_table
from imageclf.training.parts.table import read_table, table_of_run
from imageclf.training.run_config import data_options


@pytest.fixture
def whole(parsed, dataset, tmp_path):
    """Return a function that gives the config of a run on a copy of the drawn pictures."""
    root = tmp_path / "data"
    shutil.copytree(dataset, root)
    return lambda *overrides: parsed(f"data.root={root}", *overrides)


@pytest.fixture
def node(whole):
    """Return a function that gives the data node of such a config."""
    return lambda *overrides: whole(*overrides).data


@pytest.fixture
def broken(node, tmp_path) -> Path:
    """Return a picture that was cut short."""
    path = tmp_path / "data" / "train" / "red" / "3.png"
    path.write_bytes(path.read_bytes()[:200])
    return path


def test_the_pictures_of_a_folder_are_read_and_split(node):
    table = read_table(node())
    assert [len(table.rows(split)) for split in ("train", "valid", "test")] == [24, 12, 0]
    assert table.classes == ("blue", "green", "red")


def test_a_split_follows_the_keys_of_the_node(node):
    table = read_table(node("data.valid=null", "data.valid_pct=0.5"))
    assert [len(table.rows(split)) for split in ("train", "valid")] == [12, 12]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ([], "24 training and 12 validation pictures, from the folders train/ and valid/ of ROOT"),
        (
            ["data.valid=null"],
            "19 training and 5 validation pictures, from the folders of ROOT/train, 20 % held out at random, "
            "the same share of each class",
        ),
        (
            ["data.valid=null", "data.fold=1", "data.folds=4", "data.split=random", "data.test=valid"],
            "18 training and 6 validation pictures, 12 to predict, from the folders of ROOT/train, fold 1 of "
            "4 held out at random",
        ),
    ],
)
def test_what_was_read_is_said_in_one_line(node, tmp_path, caplog, overrides, said):
    with caplog.at_level(logging.INFO):
        read_table(node(*overrides), verify=False)
    root = str(tmp_path / "data")
    assert [each.replace(root, "ROOT") for each in caplog.messages] == [f"3 classes, {said}"]


def test_a_broken_picture_stops_the_run_by_its_name_and_the_remedy(node, broken):
    with pytest.raises(InputError) as refused:
        read_table(node())
    assert str(broken) in str(refused.value)
    assert str(refused.value).startswith("1 picture cannot be read: ")
    assert str(refused.value).endswith("; repair or remove it, or set data.on_error=skip")


@pytest.mark.fault(
    "Pictures",
    "One of many pictures is broken, and `data.on_error=skip`",
    "It is left out with a warning, never replaced by another one",
)
def test_a_broken_picture_is_left_out_on_demand(node, broken):
    table = read_table(node("data.on_error=skip"))
    assert len(table) == 35
    assert str(broken) not in table.paths


def test_a_picture_that_is_left_out_is_said(node, broken, caplog):
    with caplog.at_level(logging.WARNING):
        read_table(node("data.on_error=skip"))
    assert str(broken) in caplog.text
    assert "; it is left out (data.on_error=skip)" in caplog.text


def test_the_plan_need_not_decode_the_pictures(node, broken):
    assert len(read_table(node(), verify=False)) == 36


def test_a_runs_table_is_written_down(whole, tmp_path):
    table = table_of_run(tmp_path, whole())
    assert (tmp_path / "split.csv").read_text().count("\n") == 1 + len(table)


@pytest.mark.fault(
    "Splits, batches and metrics",
    "The data folder changes while a run waits to go on",
    "It goes on with the pictures and the split of its `split.csv`",
)
def test_a_restart_reads_the_table_that_was_written_down(whole, tmp_path):
    first = table_of_run(tmp_path, whole())
    shutil.rmtree(tmp_path / "data" / "valid")
    again = table_of_run(tmp_path, whole())
    assert again.frame.equals(first.frame)


@pytest.mark.parametrize("part", ["loading", "splitting", "caching", "source"])
def test_each_part_takes_its_own_keys_of_the_flat_node(part, config):
    node = config()["data"]
    built = asdict(getattr(data_options(node), part))
    assert built == {name: node[name] for name in built} != {}


def test_other_tasks_wait_for_the_table_as_long_as_for_the_run_directory():
    assert run_table.WAIT is tasks.WAIT


def test_another_task_says_how_long_it_has_waited_for_the_table(whole, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(run_table, "WAIT", timedelta(seconds=0.1))
    with pytest.raises(InputError) as refused:
        table_of_run(tmp_path, whole())
    said = f"the first task has not written {tmp_path / 'split.csv'} within 0:00:00.100000"
    assert str(refused.value) == said
