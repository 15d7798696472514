"""The table that every source of pictures returns: id, path, label and split of each row."""

import csv
import hashlib
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from imageclf import InputError
from imageclf.analysis.predictions_csv import class_columns
from imageclf.data.pictures.pixels import RGB, Pixels
from imageclf.data.sources.names import natural_sorted
from imageclf.system.cells import read_csv, read_heading
from imageclf.system.files import write_text
from imageclf.system.words import counted, listed
from imageclf.tasks import MULTICLASS, Task
from imageclf.tasks.kinds import Targets

Split = Literal["train", "valid", "test", ""]
"""Where a row belongs; "" until a `Splitting` decides between train and valid."""

SPLITS: tuple[Split, ...] = ("train", "valid", "test", "")

COLUMNS = ("id", "path", "label", "split")

_log = logging.getLogger(__name__)


def class_order(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the classes by class number: the distinct labels in natural order, without ""."""
    return tuple(natural_sorted(set(labels) - {""}))


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of pictures and the classes that their labels are numbered by.

    Args:
        frame: Text columns id, path (absolute), label ("" where unknown) and split (a `Split`).
        classes: Names by class number.
        groups: Text by row, in the frame's order: rows of one group stay in one split, such as the
            pictures of one patient; None where there are no groups. Only splitting needs it: it is not saved.
        task: what a label is.
        pixels: what the pictures are decoded to, with mean and spread where these were measured.
    """

    frame: pd.DataFrame
    classes: tuple[str, ...]
    groups: "pd.Series[str] | None" = None
    task: Task = MULTICLASS
    pixels: Pixels = RGB

    def __len__(self) -> int:
        return len(self.frame)

    @property
    def num_classes(self) -> int:
        """Return the number of classes."""
        return len(self.classes)

    @cached_property
    def labels(self) -> Targets:
        """Return the targets that the task makes of the labels: class numbers [N], -1 where unknown."""
        is_test = (self.frame["split"] == "test").to_numpy()
        return self.task.targets(self.frame["label"].tolist(), self.classes, is_test)

    @cached_property
    def _splits(self) -> npt.NDArray[np.int64]:
        return pd.Index(SPLITS, dtype="str").get_indexer(pd.Index(self.frame["split"])).astype(np.int64)

    # Each save of a checkpoint asks for it, and a million rows take a second.
    @cached_property
    def digest(self) -> str:
        """Return a hash of ids, labels and splits in their order; the pictures may lie elsewhere."""
        rows = self.frame.drop(columns="path").to_csv(index=False, quoting=csv.QUOTE_ALL)
        return hashlib.sha256(rows.encode("utf-8", "surrogateescape")).hexdigest()

    @property
    def paths(self) -> list[str]:
        """Return the paths in table order."""
        return self.frame["path"].tolist()

    @property
    def ids(self) -> list[str]:
        """Return the ids in table order."""
        return self.frame["id"].tolist()

    def rows(self, split: Split) -> npt.NDArray[np.int64]:
        """Return the positions of a split's rows, in table order."""
        return np.flatnonzero(self._splits == SPLITS.index(split)).astype(np.int64)

    def class_counts(self, split: Split) -> npt.NDArray[np.int64]:
        """Count a split's rows by class: [num_classes]; unlabelled rows do not count."""
        return self.task.counts(self.labels[self.rows(split)], self.num_classes)

    def without(self, rows: Collection[int]) -> "Table":
        """Return the table without some rows, by position; the classes stay."""
        kept = np.setdiff1d(np.arange(len(self)), np.fromiter(rows, dtype=np.int64))
        groups = None if self.groups is None else self.groups.iloc[kept].reset_index(drop=True)
        return replace(self, frame=self.frame.iloc[kept].reset_index(drop=True), groups=groups)

    def save(self, path: Path) -> None:
        """Write the rows as CSV; a reader sees the old file or the new one, never a part."""
        # All quoted, since pandas would leave a lone carriage return bare.
        write_text(path, self.frame.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_ALL))

    @classmethod
    def load(cls, path: Path, classes: Sequence[str] | None = None, task: Task = MULTICLASS) -> "Table":
        """Read back what `save` wrote.

        `classes` are needed for a table that has lost all rows of some class; None takes those of the labels.

        Raises:
            InputError: The file is damaged, has other columns or unknown splits, or a label is not among
                the classes.
        """
        # Before the rest, which may be anything.
        columns = read_heading(path)
        if tuple(columns) != COLUMNS:
            raise InputError(f"{path} has columns {listed(columns)}, not {listed(COLUMNS)}.")
        frame = read_csv(path, "str")
        odd = sorted(set(frame["split"]) - set(SPLITS))
        if odd:
            raise InputError(f"{path} has unknown splits: {listed(odd)}.")
        names = task.names_in(frame["label"].tolist())
        known = class_order(names) if classes is None else tuple(classes)
        among = set(known)
        unknown = [name for name in names if name not in among]
        if unknown:
            raise InputError(f"{path} has labels that are not among the classes: {listed(unknown)}.")
        table = cls(frame, known, task=task)
        measured = task.measured(table.labels[table.rows("train")], known)
        return table if measured is task else replace(table, task=measured)


def make_table(columns: Mapping[str, Sequence[str]], task: Task = MULTICLASS) -> Table:
    """Build a table of pictures; the classes are those of all labels.

    Args:
        columns: id, path (absolute), label ("" where unknown) and split, a text for each picture; without
            a split, what is held out follows from `data.valid_pct` or `data.fold`.
        task: what a label is.
    """
    whole = {"split": [""] * len(columns["id"]), **columns}
    frame = pd.DataFrame({name: pd.Series(whole[name], dtype="str") for name in COLUMNS})
    return Table(frame, class_order(task.names_in(columns["label"])), task=task)


def check_table(table: Table, valid_key: str) -> None:
    """Check what a source has read, before any splitting.

    A warning lists the classes without validation pictures, where others have some; `valid_key` is the
    key that chose these.

    Raises:
        InputError: There are fewer than two classes to train on, an id occurs twice among the
            labelled or among the test pictures, a class has no training picture, or two classes
            would share a column of the predictions.
    """
    _check_ids(table)
    # Their predictions could not be written, after all the training.
    class_columns(table.classes)
    trained = table.class_counts("train") + table.class_counts("") > 0
    if trained.sum() < table.task.kind.least_classes:
        found = listed([name for name, known in zip(table.classes, trained, strict=True) if known]) or "none"
        raise InputError(f"data.root: a classifier needs two or more classes to train on, got {found}.")
    _check_known(table, trained, "valid", f"{valid_key}: add training pictures or take these classes out")
    _check_known(table, trained, "test", "data.test: name the folder of the pictures itself for no labels")
    if len(table.rows("valid")):
        warn_missing(table, "valid")


def warn_missing(table: Table, split: Split) -> None:
    """Log which classes have no picture in a split."""
    missing = [table.classes[index] for index in np.flatnonzero(table.class_counts(split) == 0)]
    if missing:
        number = counted(len(missing), "class has", "classes have")
        word = {"train": "training", "valid": "validation"}.get(split, split)
        _log.warning("%s no %s picture: %s", number, word, listed(missing))


def _check_ids(table: Table) -> None:
    ids = table.frame["id"]
    if len(set(ids.tolist())) == len(ids):
        return
    # A picture to predict may have the same number as one to train on.
    repeated = ids[pd.DataFrame({"id": ids, "test": table.frame["split"] == "test"}).duplicated()]
    if len(repeated):
        names = listed(repeated.unique().tolist())
        raise InputError(f"data.root: ids must differ, but these occur more than once: {names}.")


def _check_known(table: Table, trained: npt.NDArray[np.bool_], split: Split, remedy: str) -> None:
    unknown = [table.classes[index] for index in np.flatnonzero((table.class_counts(split) > 0) & ~trained)]
    if unknown:
        raise InputError(f"{remedy}; classes with {split} but without training pictures: {listed(unknown)}.")
