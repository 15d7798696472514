"""Pictures to predict: files, folders, a CSV with a column of paths, and paths from standard input."""

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from imageclf import InputError
from imageclf.data.sources.listing import SUFFIXES, convert_hint, list_pictures, picture_ids
from imageclf.data.sources.table import Table, make_table
from imageclf.system.conventions import separator_of
from imageclf.system.files import is_folder, why_not_listed
from imageclf.system.words import listed

log = logging.getLogger(__name__)

STDIN = "-"
# Suffixes of tables; everything else that is no folder is a picture.
_TABLES = (".csv", ".tsv")


class _Named(NamedTuple):
    """A picture: its name as given, and its absolute path."""

    name: str
    path: str


def unlabelled_table(data: str | Sequence[str], classes: tuple[str, ...], column: str | None = None) -> Table:
    """Return pictures as rows of the test split, without labels, in the order given; each once.

    Args:
        data: a picture, a folder of pictures at any depth, a CSV of paths, - for paths on standard input, one
            a line, or several of these.
        classes: that will be predicted.
        column: of a CSV, with paths that begin at the CSV's folder; None: `path`, or the only column.

    Raises:
        InputError: there is no such file, folder or column, or no picture in it.
    """
    given = [data] if isinstance(data, str) else list(data)
    found = {each.path: each for part in given for each in _expand(part, column, len(given))}
    if not found:
        raise InputError("data=[]: name a picture, a folder, a CSV, or several of them")
    pictures = list(found.values())
    names = [each.name for each in pictures]
    if len(set(names)) < len(names):
        names = [each.path for each in pictures]
    return table_to_predict(picture_ids(names), list(found), classes)


def table_to_predict(ids: Sequence[str], paths: Sequence[str], classes: tuple[str, ...]) -> Table:
    """Return pictures as rows of the test split, without labels; `classes` are those to predict."""
    columns = {"id": ids, "path": paths, "label": [""] * len(ids), "split": ["test"] * len(ids)}
    return Table(make_table(columns).frame, classes)


def _expand(data: str, column: str | None, num_given: int) -> Iterator[_Named]:
    """Yield the pictures that one part of `data` stands for."""
    path = Path(data).expanduser()
    if data == STDIN:
        yield from _of_lines()
    elif is_folder(str(path)):
        yield from _of_folder(path)
    elif not os.path.exists(path):  # noqa: PTH110, as in `is_folder`
        raise InputError(f"data={data}: {why_not_listed(path, 'file or folder')}{_hint(data, num_given)}")
    elif path.suffix.lower() in _TABLES:
        yield from _of_csv(path, column)
    else:
        yield _Named(path.name, str(path.absolute()))


def _hint(data: str, num_given: int) -> str:
    if num_given > 1:
        return """; a path with a comma needs quotes in a list: "data=['a,b.jpg',c.jpg]\""""
    return "; several are given as data=[a.jpg,b.jpg]" if "," in data else ""


def _of_folder(folder: Path) -> Iterator[_Named]:
    found = list_pictures(str(folder.resolve()))
    names, remedy = found.pictures, convert_hint(found.others)
    if not names:
        raise InputError(f"data={folder} holds no pictures ({', '.join(SUFFIXES)}){remedy}")
    if remedy:
        log.warning("%s holds photos that are left out%s", folder, remedy)
    yield from (_Named(name, str(folder.resolve() / name)) for name in names)


def _of_lines() -> Iterator[_Named]:
    # Bytes: a path need not be text.
    lines = [os.fsdecode(line).strip("\r\n") for line in sys.stdin.buffer]
    names = [line for line in lines if line.strip()]
    if not names:
        raise InputError("data=-: standard input has no line; give the path of a picture on each")
    yield from (_Named(name, str(Path(name).expanduser().absolute())) for name in names)


def _of_csv(path: Path, column: str | None) -> Iterator[_Named]:
    try:
        with path.open(encoding="utf-8", errors="surrogateescape") as file:
            separator = separator_of(file.readline().rstrip("\r\n"))
        cells = pd.read_csv(
            path, sep=separator, dtype="str", keep_default_na=False, encoding_errors="surrogateescape"
        )
    except pd.errors.EmptyDataError:
        raise InputError(f"data={path} is empty; give a header and a row for each picture") from None
    except (OSError, ValueError) as error:
        raise InputError(f"data={path} cannot be read as a CSV ({' '.join(str(error).split())})") from None
    names = cells[_column(path, list(cells.columns), column)].tolist()
    if not any(names):
        raise InputError(f"data={path} has a header but no rows with a path")
    if "" in names:
        log.warning("%s: %d rows have no path and are left out", path, names.count(""))
    yield from (_Named(name, str((path.parent / name).absolute())) for name in names if name)


def _column(path: Path, header: list[str], column: str | None) -> str:
    chosen = column or ("path" if "path" in header else header[0] if len(header) == 1 else None)
    if chosen is None:
        raise InputError(f"data={path}: name the column of paths by column=, one of {listed(header)}")
    if chosen not in header:
        raise InputError(f"column={column}: {path} has the columns {listed(header)}")
    return chosen
