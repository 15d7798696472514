"""Find conf/ from a clone and from an installed wheel, and name run directories."""

import functools
import os
import secrets
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from imageclf import InputError
from imageclf.configs.found.folder_layout import find_test, find_train, find_valid
from imageclf.configs.found.table_layout import (
    find_id_column,
    find_images,
    find_label_column,
    find_suffix,
    find_valid_column,
)
from imageclf.schedule.size import edges, of_edges, plain, read_size
from imageclf.system.world import batch_job_id

_PACKAGE = Path(__file__).resolve().parents[1]
_CLONE = _PACKAGE.parents[1]

# The wheel carries conf/ inside the package; an editable install finds it at the top of the clone.
CONF_DIR = str(_PACKAGE / "conf" if (_PACKAGE / "conf").is_dir() else _CLONE / "conf")


# Files that others inherit: they are no options by themselves.
_PARTIAL = ("shared", "phase")


def options_of(group: str) -> list[str]:
    """Return the options of a config group, sorted."""
    return sorted(path.stem for path in Path(CONF_DIR, group).glob("*.yaml") if path.stem not in _PARTIAL)


def in_clone(path: str) -> str:
    """Return the absolute path of a file of the repository.

    Raises:
        InputError: this is an installed wheel, which does not carry it.
    """
    found = _CLONE / path
    if not found.exists():
        raise InputError(
            f"the demo pictures ({path}) are not part of the installed package: "
            "give your own with data=FOLDER or data=FILE.csv"
        )
    return str(found)


@functools.cache
def run_id() -> str:
    """Return the id of this process's run or sweep: date and time to the second, and 4 random hex digits.

    In a SLURM job it is the job's id, so that a requeued job finds its directory.
    """
    return batch_job_id(os.environ) or f"{datetime.now():%Y-%m-%d_%H-%M-%S}-{secrets.token_hex(2)}"


def run_name(*names: str | None) -> str:
    """Return the folder of a run below runs/: the first name that is given, or train.

    >>> run_name(None, "dog_breeds"), run_name("mine", "dog_breeds"), run_name(None, None)
    ('dog_breeds', 'mine', 'train')
    """
    return next((str(name) for name in names if name not in (None, "", "null")), "train")


def enlarged(size: Any, factor: float) -> int | str:
    """Return a picture size times a factor, rounded to multiples of 32, the stride of most networks.

    >>> enlarged(224, 1.25), enlarged(128, 1.25), enlarged([128, 256], 1.25)
    (288, 160, '160x320')
    """
    sides = edges(read_size(size, "data.size"))
    return plain(of_edges(max(32, round(side * factor / 32) * 32) for side in sides))


# What `${...}` calls in the configs: every process that reads one needs them, so importing registers them.
_OF_TABLES = (find_id_column, find_images, find_suffix, find_label_column, find_valid_column)
_OF_FOLDERS = (find_train, find_valid, find_test)
for _function in (enlarged, in_clone, run_id, run_name, *_OF_FOLDERS, *_OF_TABLES):
    OmegaConf.register_new_resolver(_function.__name__, _function, replace=True)
