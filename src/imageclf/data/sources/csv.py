"""Read the names and labels of pictures from a CSV."""

import logging
import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from imageclf import InputError
from imageclf.data.sources.csv_rows import SPLITS, is_inside, mistakes, numbers
from imageclf.data.sources.delimited import read_delimited
from imageclf.data.sources.listing import (
    find_root,
    is_picture,
    list_pictures,
    picture_ids,
    read_folder,
    report_skipped,
)
from imageclf.data.sources.names import name_clashes, slips
from imageclf.data.sources.table import Table, check_table, make_table
from imageclf.system.files import is_folder
from imageclf.system.words import counted, listed
from imageclf.tasks import MULTICLASS, Task

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CsvSource:
    """Rows of `root/csv`, in its order; their pictures are `root/images/ID + suffix`.

    Ids and labels are text, exactly as written. The test pictures come last; their ids are their
    paths below the test folder, without the suffix unless two differ by it alone.

    Args:
        root: Folder of the data set; `~` and environment variables are expanded.
        csv: Path of the CSV below the root; see `read_delimited` for what it may look like.
        images: Folder of the pictures below the root.
        suffix: Added to ids that do not end in it; None or "" when ids are complete file names.
        id_column: Name in the header; None takes the first column.
        label_column: Name in the header; None takes the second column. Several for a task whose labels are
            columns of 0 and 1, which None takes if there are no others.
        group_column: Rows with one value of it, such as a patient, all go to training or all to
            validation; None makes no groups.
        valid_column: Marks validation rows (1/0, true/false, yes/no, valid/train); None leaves the
            split open.
        test: Folder of unlabelled pictures below the root.

    Source: `ImageClassifierData.from_csv(path, folder, csv_fname, val_idxs, suffix, test_name)`.
    """

    root: str
    csv: str
    images: str
    suffix: str | None
    id_column: str | None
    label_column: str | Sequence[str] | None
    group_column: str | None
    valid_column: str | None
    test: str | None

    def read(self, task: Task = MULTICLASS) -> Table:
        """Read the rows and look up their files in listings of the folders; no picture is opened.

        A row that repeats another is dropped with a warning. What a label is, the task says.

        Raises:
            InputError: The CSV or a folder cannot be read, a column is missing, rows are blank,
                contradict each other or have no file, labels look alike, or see `check_table`.
        """
        root = find_root(self.root)
        images = _find_folder(root, self.images, "data.images")
        rows = self._select(read_delimited(Path(root, Path(self.csv).expanduser())), task)
        rows["file"] = _file_names(rows["id"], self.suffix or "")
        present = _present_files(images, rows["file"][is_inside(rows["file"])])
        # An id that is the complete name of a file needs no suffix, whatever data.suffix says.
        rows["file"] = rows["file"].mask(~rows["file"].isin(present) & rows["id"].isin(present), rows["id"])
        problems = [*mistakes(rows, task.may_be_blank), *self._missing(rows, present)]
        if problems:
            raise InputError(" ".join(problems))
        rows = _drop_repeats(rows)
        _report_unused(images, present.difference(rows["file"]))
        table = _make_table(images, rows, self._test_pictures(root), task)
        if self.group_column is not None:
            table = replace(table, groups=_groups(rows, len(table)))
        _check_labels(table)
        check_table(table, "data.valid_column")
        return table

    @property
    def where(self) -> str:
        """Return in words which CSV is read, and how it says what is held out."""
        folder = posixpath.normpath(f"{self.root}/{self.images}")
        how = ""
        if self.valid_column is not None:
            how = f", held out by its column {self.valid_column!r}"
        elif self.group_column is not None:
            how = f", whole groups of its column {self.group_column!r} together"
        return f"from {self.csv}{how}, with its files in {folder}"

    def _select(self, cells: pd.DataFrame, task: Task) -> pd.DataFrame:
        """Return the columns id, label, group and split; a split that is not understood is NA."""
        header = cells.columns.tolist()
        id_position = _position(header, self.id_column, "data.id_column", self.csv)
        group_position = _position(header, self.group_column, "data.group_column", self.csv)
        valid_position = _position(header, self.valid_column, "data.valid_column", self.csv)
        label_positions = self._label_positions(header)
        if id_position is None:
            id_position = 1 if label_positions == [0] else 0
        taken = (id_position, group_position, valid_position)
        others = [each for each in range(len(header)) if each not in taken]
        if not label_positions:
            second = 0 if id_position == 1 else 1
            label_positions = others if task.is_spread(cells.iloc[:, others]) else [second]
        if id_position in label_positions:
            raise InputError(
                f"data.id_column and data.label_column are both {header[id_position]!r}; name two columns."
            )
        labels = task.label_texts(cells.iloc[:, label_positions])
        rows = pd.DataFrame({"id": cells.iloc[:, id_position], "label": labels})
        rows["group"] = "" if group_position is None else cells.iloc[:, group_position]
        if valid_position is None:
            return rows.assign(split="")
        return rows.assign(split=cells.iloc[:, valid_position].str.strip().str.lower().map(SPLITS))

    def _label_positions(self, header: Sequence[str]) -> list[int]:
        """Return the columns that are named as those of the label; nothing if none is."""
        named = [self.label_column] if isinstance(self.label_column, str) else self.label_column or []
        found = [_position(header, name, "data.label_column", self.csv) for name in named]
        return [each for each in found if each is not None]

    def _missing(self, rows: pd.DataFrame, present: set[str]) -> Iterator[str]:
        is_sought = (rows["id"].str.strip() != "") & is_inside(rows["file"])
        missing = rows["file"][is_sought & ~rows["file"].isin(present)]
        if len(missing):
            examples = f"files such as {listed(sorted(present)[:3])}" if present else "no files"
            yield (
                f"data.images={self.images!r}, data.suffix={self.suffix!r}: {len(missing)} of {len(rows)} "
                f"files {'is' if len(missing) == 1 else 'are'} missing, in {numbers(missing)}: "
                f"{listed(missing.tolist())}; their folders hold {examples}. Add them, or remove the rows."
            )

    def _test_pictures(self, root: str) -> tuple[str, list[str]]:
        """Return the folder of the test pictures and their names below it."""
        if self.test is None:
            return "", []
        folder = _find_folder(root, self.test, "data.test")
        found = list_pictures(folder)
        report_skipped(folder, found)
        if not found.pictures:
            raise InputError(f"data.test={self.test!r} holds no picture; name a folder that does, or null.")
        return folder, found.pictures


def _find_folder(root: str, folder: str, key: str) -> str:
    path = posixpath.normpath(f"{root}/{folder}")
    if is_folder(path):
        return path
    raise InputError(f"{key}={folder!r} is not a folder in {root}; name one that is.")


def _position(header: Sequence[str], name: str | None, key: str, csv: str) -> int | None:
    if name is None:
        return None
    if header.count(name) == 1:
        return header.index(name)
    count = "no column" if name not in header else "more than one column"
    raise InputError(f"{key}={name!r} names {count} of {csv}, which has {listed(header)}.")


def _file_names(ids: pd.Series, suffix: str) -> pd.Series:
    """Return the path of each row's file below the folder of pictures, in its shortest form."""
    files = ids.where(ids.str.lower().str.endswith(suffix.lower()), ids + suffix)
    # Segments that are empty, "." or ".."; absolute paths start with an empty one.
    odd = files.str.contains("/", regex=False)
    odd[odd] = files[odd].str.contains(r"(?:^|/)\.{0,2}(?:/|$)")
    files[odd] = files[odd].map(posixpath.normpath)
    return files


def _present_files(images: str, files: pd.Series) -> set[str]:
    """Return the files of every folder that a row's file should be in; each folder is listed once."""
    present: set[str] = set()
    for folder in sorted({file[: file.rfind("/") + 1] for file in files}):
        if is_folder(f"{images}/{folder}"):
            here = read_folder(f"{images}/{folder}")
            present.update(folder + name for name in (*here.pictures, *here.others, *here.hidden))
    return present


def _drop_repeats(rows: pd.DataFrame) -> pd.DataFrame:
    repeated = rows["file"].duplicated()
    if repeated.any():
        dropped = rows[repeated]
        ids = listed(dropped["id"].tolist())
        what = "row that repeats another" if len(dropped) == 1 else "rows that repeat others"
        _log.warning("dropped %d %s, %s: %s", len(dropped), what, numbers(dropped), ids)
    return rows[~repeated]


def _report_unused(images: str, unused: set[str]) -> None:
    names = sorted(name for name in unused if is_picture(name) and "/." not in f"/{name}")
    if names:
        number = counted(len(names), "picture has", "pictures have")
        _log.info("%s: %s no row in the CSV: %s", images, number, listed(names))


def _make_table(images: str, rows: pd.DataFrame, test: tuple[str, list[str]], task: Task) -> Table:
    folder, names = test
    return make_table(
        {
            "id": [*rows["id"], *picture_ids(names)],
            "path": [*f"{images}/" + rows["file"], *(f"{folder}/{name}" for name in names)],
            "label": [*rows["label"], *[""] * len(names)],
            "split": [*rows["split"], *["test"] * len(names)],
        },
        task,
    )


def _groups(rows: pd.DataFrame, length: int) -> "pd.Series[str]":
    """Return the group of each row of the table; a row without one is a group by itself."""
    groups = rows["group"].reset_index(drop=True).reindex(range(length), fill_value="")
    unique = pd.Series([f"\0{row}" for row in range(length)], dtype="str")
    return groups.where(groups.str.strip() != "", unique)


def _check_labels(table: Table) -> None:
    clashes = name_clashes(table.classes, ignore_case=False)
    if clashes:
        pairs = "; ".join(listed(names) for names in clashes[:10])
        raise InputError(
            f"data.label_column: labels that differ only by outer spaces or Unicode form: {pairs}; "
            "write each class in one way."
        )
    for names in name_clashes(table.classes, ignore_case=True):
        _log.warning("labels that differ only by case are different classes: %s", listed(names))
    counts = table.class_counts("") + table.class_counts("train") + table.class_counts("valid")
    for name, near in slips(dict(zip(table.classes, counts.tolist(), strict=True))).items():
        _log.warning("only one picture is labelled %r; did you mean %r?", name, near)
