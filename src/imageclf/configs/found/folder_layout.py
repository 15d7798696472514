"""What the folders of a data set are, seen from their names: splits, or classes."""

import os
from pathlib import Path

from imageclf import InputError
from imageclf.system.conventions import TEST, TRAIN, VALID


def find_train(root: str) -> str:
    """Return the folder of class folders below the root: that of the training pictures, or "." itself.

    Raises:
        InputError: there are validation or test pictures beside it, and no training pictures.
    """
    inner = subfolders(absolute(root))
    train = _split(root, inner, TRAIN)
    held_out = _split(root, inner, (*VALID, *TEST))
    if train is None and held_out is not None:
        others = [name for name in inner if name != held_out]
        raise InputError(
            f"data={root}: {held_out}/ holds folders of classes, and no folder of training pictures "
            f"({' or '.join(TRAIN)}) is beside it, only {_listed(others)}; give data.train=FOLDER"
        )
    return train or "."


def find_valid(root: str, train: str) -> str | None:
    """Return the folder of validation pictures beside that of the training pictures; None: split some off."""
    return None if train == "." else _split(root, subfolders(absolute(root)), VALID)


def find_test(root: str, train: str, valid: str | None = None) -> str | None:
    """Return the folder of test pictures beside that of the training pictures; None if there is none.

    `train` is "." where the root holds the classes. The folder of validation pictures may have a
    usual name of test pictures.
    """
    if train == ".":
        return None
    taken = {absolute(root) / name for name in (train, valid) if name is not None}
    beside = [name for name in subfolders(absolute(root)) if absolute(root) / name not in taken]
    found = [name for name in beside if name.casefold() in TEST]
    # An empty one would be refused.
    return next((name for name in found if any(absolute(root).joinpath(name).iterdir())), None)


def has_splits(root: str) -> bool:
    """Return whether a folder holds one of a split's class folders."""
    return _split(root, subfolders(absolute(root)), (*TRAIN, *VALID, *TEST)) is not None


def absolute(path: str) -> Path:
    """Return a path as FolderSource and CsvSource read `data.root`: with `~` and variables expanded."""
    return Path(os.path.expanduser(os.path.expandvars(path))).absolute()  # noqa: PTH111


def subfolders(folder: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted, without hidden ones."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(
            each.name for each in entries if each.is_dir() and not each.name.startswith((".", "__"))
        )


def _split(root: str, names: list[str], among: tuple[str, ...]) -> str | None:
    """Return the first folder that has a usual name of a split and holds folders."""
    found = [name for word in among for name in names if name.casefold() == word]
    return next((name for name in found if subfolders(absolute(root) / name)), None)


def _listed(names: list[str]) -> str:
    return ", ".join(f"{name}/" for name in names) or "no folder"
