"""Read pictures from folders that are named after their classes."""

import logging
import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

from imageclf import InputError
from imageclf.data.sources.listing import (
    Listing,
    convert_hint,
    extend_trail,
    find_root,
    list_pictures,
    picture_ids,
    read_folder,
    report_skipped,
)
from imageclf.data.sources.names import name_clashes, natural_sorted
from imageclf.data.sources.table import Split, Table, check_table, class_order, make_table
from imageclf.system.conventions import are_splits
from imageclf.system.files import is_folder
from imageclf.system.words import counted, joined, listed

_log = logging.getLogger(__name__)


class _ClassFolder(NamedTuple):
    """The pictures of one class and split: their names relative to a folder.

    The folder is a posix path relative to the root, "." for the root itself.
    """

    split: Split
    label: str
    folder: str
    names: list[str]


class _SplitFolder(NamedTuple):
    """What the folder of one split holds.

    Args:
        classes: its pictures.
        skipped: what is none of them, relative to the folder; its pictures lie outside the class folders.
    """

    classes: list[_ClassFolder]
    skipped: Listing


@dataclass(frozen=True)
class FolderSource:
    """Folders of classes: `root/train/cat/1.jpg`; rows go by split, then class, then file.

    An id is the path below the root, without the suffix unless two files differ by it alone.

    Args:
        root: Folder of the data set; `~` and environment variables are expanded.
        train: Folder of class folders below the root; "." for the root itself.
        valid: Likewise; None leaves the split of the training pictures open.
        test: Folder of class folders, or of unlabelled pictures when it has no folders.

    Source: `ImageClassifierData.from_paths(path, trn_name='train', val_name='valid', test_name=None)`.
    """

    root: str
    train: str
    valid: str | None
    test: str | None

    def read(self) -> Table:
        """List all pictures; none is opened.

        Raises:
            InputError: A folder is missing, empty or cannot be listed, class names look alike, a
                link leads back to a folder that holds it, or see `check_table`.
        """
        root = find_root(self.root)
        self._check_folders(root)
        splits = [self._read_split(root, *each) for each in self._splits()]
        classes = [each for split in splits for each in split.classes]
        _check_splits(self.root, classes)
        _check_filled(root, classes, [name for split in splits for name in split.skipped.others])
        _check_names(classes)
        table = _make_table(root, classes)
        check_table(table, "data.valid")
        _report(root, splits)
        return table

    @property
    def where(self) -> str:
        """Return in words which folders are read."""
        if self.valid is None:
            return f"from the folders of {posixpath.normpath(f'{self.root}/{self.train}')}"
        return f"from the folders {self.train}/ and {self.valid}/ of {self.root}"

    def _splits(self) -> Iterator[tuple[Split, str, str]]:
        """Yield split, key and folder of each split."""
        yield "" if self.valid is None else "train", "data.train", self.train
        if self.valid is not None:
            yield "valid", "data.valid", self.valid
        if self.test is not None:
            yield "test", "data.test", self.test

    def _paths(self, root: str) -> list[str]:
        return [_absolute(root, folder) for _, _, folder in self._splits()]

    def _check_folders(self, root: str) -> None:
        if not is_folder(_absolute(root, self.train)):
            raise InputError(_missing_train(root, self.train))
        if self.valid is not None and not is_folder(_absolute(root, self.valid)):
            raise InputError(
                f"data.valid={self.valid!r} is not a folder in {root}; "
                "name one that is, or split one off with data.valid=null."
            )
        if self.test is not None and not is_folder(_absolute(root, self.test)):
            raise InputError(f"data.test={self.test!r} is not a folder in {root}; name one that is, or null.")
        paths = self._paths(root)
        if len(set(paths)) < len(paths):
            raise InputError(
                f"data.train={self.train!r}, data.valid={self.valid!r} and data.test={self.test!r} "
                "must be different folders."
            )

    def _read_split(self, root: str, split: Split, key: str, folder: str) -> _SplitFolder:
        path = _absolute(root, folder)
        here = read_folder(path)
        labels = class_order(name for name in here.folders if not self._is_reserved(root, f"{path}/{name}"))
        found = {label: list_pictures(f"{path}/{label}", extend_trail(f"{path}/{label}")) for label in labels}
        # Such as runs/: it holds no data.
        outputs = [label for label, below in found.items() if below.outputs and not below.pictures]
        skipped = _skipped(here, found, outputs)
        classes = [
            _ClassFolder(split, label, _below(root, f"{path}/{label}"), below.pictures)
            for label, below in found.items()
            if label not in outputs
        ]
        if not classes and split == "test":
            unlabelled = _ClassFolder(split, "", _below(root, path), natural_sorted(here.pictures))
            return _SplitFolder([unlabelled], skipped._replace(pictures=[]))
        if not classes:
            key_of_folder = "" if folder == "." else f", {key}={folder!r}"
            raise InputError(_no_classes(f"data.root={self.root!r}{key_of_folder}", here))
        return _SplitFolder(classes, skipped)

    def _is_reserved(self, root: str, path: str) -> bool:
        """Tell whether a folder is, or holds, one that another key names: it is not a class."""
        return any(os.path.commonpath([path, named]) == path for named in self._paths(root))


def _absolute(root: str, folder: str) -> str:
    return os.path.normpath(f"{root}/{folder}")


def _below(root: str, path: str) -> str:
    return os.path.relpath(path, root).replace(os.sep, "/")


def _skipped(here: Listing, classes: Mapping[str, Listing], outputs: Sequence[str]) -> Listing:
    """Return what a folder and its class folders hold beside pictures of a class.

    `classes` is what its folders hold, by name; `outputs` are those with nothing but runs and caches.
    """
    skipped = Listing(
        [], list(here.pictures), list(here.others), list(here.hidden), [f"{name}/" for name in outputs]
    )
    for label in [each for each in classes if each not in outputs]:
        for name in ("others", "hidden", "outputs"):
            getattr(skipped, name).extend(f"{label}/{each}" for each in getattr(classes[label], name))
    return skipped


def _make_table(root: str, classes: Sequence[_ClassFolder]) -> Table:
    columns: dict[str, list[str]] = {"id": [], "path": [], "label": [], "split": []}
    for split, label, folder, names in classes:
        prefix = "" if folder == "." else f"{folder}/"
        columns["id"] += [prefix + name for name in picture_ids(names)]
        columns["path"] += [f"{root}/{prefix}{name}" for name in names]
        columns["label"] += [label] * len(names)
        columns["split"] += [split] * len(names)
    return make_table(columns)


def _check_splits(root: str, classes: Sequence[_ClassFolder]) -> None:
    names = natural_sorted({each.label for each in classes})
    if are_splits(names):
        raise InputError(
            f"data.root={root!r}: the folders {listed(names)} would be the classes, but they look like "
            f"splits of the data; use data={root}, which finds them, or rename them if they are classes."
        )


def _check_filled(root: str, classes: Sequence[_ClassFolder], others: Sequence[str]) -> None:
    if empty := [each.folder for each in classes if not each.names]:
        raise InputError(
            f"data.root: folders without a picture in {root}: {listed(empty)}; "
            f"fill or remove them{convert_hint(others)}."
        )


def _check_names(classes: Sequence[_ClassFolder]) -> None:
    clashes = name_clashes({each.label for each in classes}, ignore_case=True)
    if clashes:
        pairs = "; ".join(listed(names) for names in clashes[:10])
        raise InputError(
            f"data.root: class folders that differ only by case, outer spaces or Unicode form: {pairs}; "
            "merge or rename them."
        )


def _missing_train(root: str, train: str) -> str:
    folders = natural_sorted(read_folder(root).folders)
    if not folders:
        return f"data.train={train!r} is not a folder in {root}; name the folder of class folders."
    return (
        f"data.train={train!r} is not a folder in {root}, which holds {listed(folders)}; "
        "if these are the classes, use data.train=. data.valid=null."
    )


def _no_classes(given: str, here: Listing) -> str:
    """Return what is wrong with a folder, named as it was given, and what it holds instead."""
    kinds = [(len(here.pictures), "picture"), (len(here.others), "other file")]
    held = joined([counted(number, kind) for number, kind in kinds if number])
    return (
        f"{given}: this folder holds no class folders, {f'only {held}' if held else 'and no pictures'}; "
        "put the pictures of each class in a folder with its name, or list their classes in a CSV and give "
        "data=PATH.csv."
    )


def _report(root: str, splits: Sequence[_SplitFolder]) -> None:
    every = zip(*(split.skipped for split in splits), strict=True)
    skipped = Listing(*(list(chain.from_iterable(names)) for names in every))
    report_skipped(root, skipped)
    if skipped.pictures:
        number = counted(len(skipped.pictures), "picture")
        _log.warning("%s: skipped %s outside class folders: %s", root, number, listed(skipped.pictures))
