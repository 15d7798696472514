"""Read pictures from folders that are named after their classes."""

import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imageclf import InputError
from imageclf.data.sources.listing import (
    find_root,
    follow,
    list_pictures,
    picture_ids,
    read_folder,
    report_skipped,
)
from imageclf.data.sources.names import listing, name_clashes, natural_sorted
from imageclf.data.sources.table import Split, Table, check_table, class_order, make_table

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Group:
    """Pictures of one class and split."""

    split: Split
    label: str
    folder: str
    """Posix path relative to the root, "." for the root itself."""
    names: list[str]
    """Relative to the folder."""


@dataclass(frozen=True)
class _Part:
    """What the folder of one split holds; the lists are of paths below that folder."""

    groups: list[_Group]
    hidden: list[str]
    others: list[str]
    loose: list[str]
    """Pictures beside the class folders."""


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
                link leads back to where it lies, or see `check_table`.
        """
        root = find_root(self.root)
        parts = [self._part(root, *split) for split in self._splits(root)]
        groups = [group for part in parts for group in part.groups]
        _check_filled(root, groups)
        _check_names(groups)
        table = _make_table(root, groups)
        check_table(table, "data.valid")
        _report(root, parts)
        return table

    def _splits(self, root: str) -> Iterator[tuple[Split, str, str]]:
        """Give split, key and folder of each part."""
        self._check_folders(root)
        yield "" if self.valid is None else "train", "data.train", self.train
        if self.valid is not None:
            yield "valid", "data.valid", self.valid
        if self.test is not None:
            yield "test", "data.test", self.test

    def _check_folders(self, root: str) -> None:
        if not _is_folder(root, self.train):
            raise InputError(_missing_train(root, self.train))
        if self.valid is not None and not _is_folder(root, self.valid):
            raise InputError(
                f"data.valid={self.valid!r} is not a folder in {root}; "
                "name one that is, or split one off with data.valid=null."
            )
        if self.test is not None and not _is_folder(root, self.test):
            raise InputError(f"data.test={self.test!r} is not a folder in {root}; name one that is, or null.")
        places = [_place(root, name) for name in (self.train, self.valid, self.test) if name is not None]
        if len(set(places)) < len(places):
            raise InputError(
                f"data.train={self.train!r}, data.valid={self.valid!r} and data.test={self.test!r} "
                "must be different folders."
            )

    def _part(self, root: str, split: Split, key: str, folder: str) -> _Part:
        place = _place(root, folder)
        here = read_folder(place)
        labels = class_order(name for name in here.folders if not self._is_reserved(root, f"{place}/{name}"))
        part = _Part([], here.hidden, here.others, [])
        for label in labels:
            _add_class(part, root, split, f"{place}/{label}")
        if labels:
            part.loose.extend(here.pictures)
        elif split == "test":
            part.groups.append(_Group(split, "", _below(root, place), natural_sorted(here.pictures)))
        else:
            raise InputError(_no_classes(key, folder, place, len(here.pictures)))
        return part

    def _is_reserved(self, root: str, path: str) -> bool:
        """Tell whether a folder is, or holds, one that another key names: it is no class."""
        named = [_place(root, name) for name in (self.train, self.valid, self.test) if name is not None]
        return any(os.path.commonpath([path, place]) == path for place in named)


def _place(root: str, folder: str) -> str:
    return os.path.normpath(f"{root}/{folder}")


def _below(root: str, path: str) -> str:
    return os.path.relpath(path, root).replace(os.sep, "/")


def _is_folder(root: str, folder: str) -> bool:
    return Path(_place(root, folder)).is_dir()


def _add_class(part: _Part, root: str, split: Split, path: str) -> None:
    found = list_pictures(path, follow(path))
    label = Path(path).name
    part.groups.append(_Group(split, label, _below(root, path), found.names))
    part.others.extend(f"{label}/{name}" for name in found.others)
    part.hidden.extend(f"{label}/{name}" for name in found.hidden)


def _make_table(root: str, groups: Sequence[_Group]) -> Table:
    columns: dict[str, list[str]] = {"id": [], "path": [], "label": [], "split": []}
    for group in groups:
        prefix = "" if group.folder == "." else f"{group.folder}/"
        columns["id"] += _prefixed(prefix, picture_ids(group.names))
        columns["path"] += _prefixed(f"{root}/{prefix}", group.names)
        columns["label"] += [group.label] * len(group.names)
        columns["split"] += [group.split] * len(group.names)
    return make_table(columns)


def _prefixed(prefix: str, names: Sequence[str]) -> list[str]:
    # Twice as fast as adding them up one by one; no file name holds a zero.
    return (prefix + f"\0{prefix}".join(names)).split("\0")


def _check_filled(root: str, groups: Sequence[_Group]) -> None:
    empty = [group.folder for group in groups if not group.names]
    if empty:
        raise InputError(
            f"data.root: folders without a picture in {root}: {listing(empty)}; fill or remove them."
        )


def _check_names(groups: Sequence[_Group]) -> None:
    clashes = name_clashes({group.label for group in groups}, ignore_case=True)
    if clashes:
        pairs = "; ".join(listing(names) for names in clashes[:10])
        raise InputError(
            f"data.root: class folders that differ only by case, outer spaces or Unicode form: {pairs}; "
            "merge or rename them."
        )


def _missing_train(root: str, train: str) -> str:
    folders = natural_sorted(read_folder(root).folders)
    if not folders:
        return f"data.train={train!r} is not a folder in {root}; name the folder of class folders."
    return (
        f"data.train={train!r} is not a folder in {root}, which holds {listing(folders)}; "
        "if these are the classes, use data.train=. data.valid=null."
    )


def _no_classes(key: str, folder: str, place: str, num_pictures: int) -> str:
    return (
        f"{key}={folder!r}: {place} holds no class folders ({num_pictures} loose pictures); "
        "put the pictures of each class in a folder with its name, or use data=csv."
    )


def _report(root: str, parts: Sequence[_Part]) -> None:
    hidden = [name for part in parts for name in part.hidden]
    others = [name for part in parts for name in part.others]
    loose = [name for part in parts for name in part.loose]
    report_skipped(root, hidden, others)
    if loose:
        _log.warning("%s: skipped %d pictures beside class folders: %s", root, len(loose), listing(loose))
