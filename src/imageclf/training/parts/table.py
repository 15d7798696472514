"""Read a run's table of pictures, once: afterwards every rank and every restart reads split.csv."""

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from imageclf import InputError
from imageclf.configs import instantiate, locate_target
from imageclf.data import Caching, Splitting, Table, describe, unreadable
from imageclf.data.sources.listing import SUFFIXES, list_pictures, picture_ids
from imageclf.system.world import WAIT
from imageclf.training.parts.sides import stored_sides

log = logging.getLogger(__name__)


def take(cls: type, node: dict[str, Any]) -> Any:
    """Return a dataclass built from those keys of a flat node that are its fields."""
    return cls(**{field.name: node[field.name] for field in fields(cls)})


def read_table(
    node: dict[str, Any], verify: bool = True, sides: Mapping[int, int] = MappingProxyType({})
) -> Table:
    """Return the pictures of a data node, checked and split.

    Args:
        node: the data node.
        verify: whether every picture is decoded once.
        sides: see `without_broken`.

    Raises:
        InputError: the folder or CSV is not as the node says, or a picture cannot be read.
    """
    table = read_source(node)
    if verify:
        table = without_broken(table, node, sides)
    split: Table = take(Splitting, node).apply(table)
    return split


def read_source(node: dict[str, Any]) -> Table:
    """Return the pictures of a data node, not split where its source leaves that open.

    Raises:
        InputError: the folder or CSV is not as the node says.
    """
    source_class = locate_target(node, "data")
    keys = {"_target_", *(field.name for field in fields(source_class))}
    table: Table = instantiate({name: node[name] for name in node if name in keys}, "data").read()
    return table


def table_of_run(run_dir: Path, config: dict[str, Any]) -> Table:
    """Return the run's table, written down the first time, when the pictures are also shrunk."""
    path = run_dir / "split.csv"
    # The folder may change while a run waits to go on; its pictures may not.
    if not path.exists():
        if is_first_task(os.environ):
            read_table(config["data"], sides=stored_sides(config)).save(path)
        else:
            _wait_for(path)
    return Table.load(path)


def is_first_task(environment: Mapping[str, str]) -> bool:
    """Return whether this process reads and writes for all tasks that srun or torchrun started.

    >>> is_first_task({}), is_first_task({"SLURM_PROCID": "1"})
    (True, False)
    """
    return environment.get("RANK", environment.get("SLURM_PROCID", "0")) == "0"


def _wait_for(path: Path) -> None:
    """Wait for the first task; where it fails, its launcher ends this one."""
    deadline = time.monotonic() + WAIT.total_seconds()
    while not path.exists():
        if time.monotonic() > deadline:
            raise InputError(f"the first task has not written {path} within {WAIT}")
        time.sleep(0.2)


def folder_table(folder: Path, classes: tuple[str, ...]) -> Table:
    """Return the pictures of a folder, at any depth, as rows of the test split without labels.

    Raises:
        InputError: there is no such folder, or it holds no picture.
    """
    if not folder.is_dir():
        raise InputError(f"data={folder}: there is no such folder")
    names = list_pictures(str(folder.resolve())).pictures
    if not names:
        raise InputError(f"data={folder} holds no pictures ({', '.join(SUFFIXES)})")
    paths = [str(folder.resolve() / name) for name in names]
    frame = pd.DataFrame({"id": picture_ids(names), "path": paths, "label": "", "split": "test"})
    return Table(frame, classes)


def without_broken(
    table: Table, node: dict[str, Any], sides: Mapping[int, int] = MappingProxyType({})
) -> Table:
    """Decode every picture once; raise for, or leave out, those that do not decode.

    Args:
        table: of pictures.
        node: the data node: `on_error`, and where it is remembered that a set is whole.
        sides: what `stored_side` says, by size: what a run will want its pictures shrunk to. That is done
            with the same decoding, unless broken pictures may be left out: which ones shows only then.

    Raises:
        InputError: pictures cannot be read and `on_error` is raise.
    """
    wanted = sides if node["on_error"] == "raise" else {}
    faults = unreadable(table.paths, take(Caching, node), wanted, node["resize"])
    if not faults:
        return table
    sentence = describe(list(faults.values()))
    if node["on_error"] == "raise":
        raise InputError(f"{sentence}; mend or remove them, or set data.on_error=skip")
    log.warning("%s; they are left out because of data.on_error=skip", sentence)
    return table.without(faults)
