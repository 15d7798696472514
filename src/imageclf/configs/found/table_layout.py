"""Which columns of a CSV name the pictures and their classes, and where the pictures are, seen by looking.

Where there is nothing, or more than one, an InputError names the key that decides.
"""

import csv
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from imageclf import InputError
from imageclf.configs.found.folder_layout import absolute, subfolders
from imageclf.system.conventions import encoding_fault, separator_of
from imageclf.system.files import is_file, is_folder
from imageclf.system.words import listed

# Rows that are read, and of them those whose files are looked for.
_ROWS, _SAMPLE = 1000, 20
_LABELS = ("label", "labels", "class", "classes", "category", "target", "breed", "species", "diagnosis", "y")
_MARKS_HINT = (
    ", or task=multilabel data.label_column=null if each is a label that a picture has (1) or has not (0)"
)
_HELD_OUT = ("is_valid", "valid", "split", "set", "subset")


class FileLocation(NamedTuple):
    """Where the files are that a column names.

    Args:
        images: their folder below the root, "." for the root itself.
        suffix: what is added to the column's values; None: nothing.
    """

    images: str
    suffix: str | None


def find_id_column(root: str, csv: str) -> str:
    """Return the column whose values name files below the root."""
    columns = _read(absolute(root) / csv)
    locations = {name: _best_locations(absolute(root), values) for name, values in columns.items()}
    hits = {name: found for name, (found, _) in locations.items() if found}
    # Numbers such as an age may name files, too, but fewer different ones.
    kinds = {name: (found, len(set(columns[name]))) for name, found in hits.items()}
    best = [name for name, found in kinds.items() if found == max(kinds.values())]
    if not best:
        raise InputError(_nothing_found(root, csv, columns))
    if len(best) > 1:
        raise InputError(
            f"data={csv}: the columns {listed(best)} all name files; give data.id_column={best[0]}"
        )
    return best[0]


def find_images(root: str, csv: str, id_column: str) -> str:
    """Return the folder below the root that holds the files of a column; "." for the root itself."""
    columns = _read(absolute(root) / csv)
    found, locations = _best_locations(absolute(root), columns.get(id_column, ()))
    folders = list(dict.fromkeys(location.images for location in locations))
    if not found:
        raise InputError(_nothing_found(root, csv, columns))
    if len(folders) > 1:
        raise InputError(
            f"data={csv}: the folders {listed(folders)} all hold files that {id_column!r} names; "
            f"give data.images={folders[0]}"
        )
    return folders[0]


def find_suffix(root: str, csv: str, id_column: str, images: str) -> str | None:
    """Return what is added to the values of a column to make them names of files; None: nothing.

    The suffix of most files wins.
    """
    values = _sample(_read(absolute(root) / csv).get(id_column, ()))
    return max(_suffixes(absolute(root) / images, values), key=lambda each: each[1], default=(None, 0))[0]


def find_label_column(
    root: str, csv: str, id_column: str, group_column: str | None = None, valid_column: str | None = None
) -> str:
    """Return the column of classes: the only one whose values repeat, or that has a usual name.

    Columns that have another role, such as naming the files, do not count. Without `valid_column` that role
    has the column with a usual name, if there is one.
    """
    columns = _read(absolute(root) / csv)
    taken = (id_column, group_column, valid_column, _held_out(columns))
    others = {name: values for name, values in columns.items() if name not in taken}
    repeating = [name for name, values in others.items() if 2 <= len(set(values)) <= max(2, len(values) // 2)]
    named = [name for name in others if name.casefold() in _LABELS]
    found = list(others) if len(others) == 1 else named if len(named) == 1 else repeating
    if len(found) == 1:
        return found[0]
    held = f"could be any of {listed(found)}" if found else f"is none of {listed(list(others))}"
    example = next(iter(found or others), "NAME")
    # What is held out says itself which pictures are kept apart.
    is_split = valid_column is not None or _held_out(columns) is not None
    groups = {} if is_split or group_column is not None else {name: others[name] for name in found[1:]}
    hint = _MARKS_HINT if found and _are_marks(others[name] for name in found) else _group_hint(groups)
    raise InputError(f"data={csv}: the column of classes {held}; give data.label_column={example}{hint}")


def find_valid_column(root: str, csv: str) -> str | None:
    """Return the column with a usual name for what is held out; None: there is none."""
    return _held_out(_read(absolute(root) / csv))


def labels_in(root: str, csv: str) -> set[str]:
    """Return the classes of a CSV, of its first rows; none of one that does not list pictures."""
    try:
        label_column = find_label_column(root, csv, find_id_column(root, csv))
    except InputError:
        return set()
    return set(_read(absolute(root) / csv)[label_column])


def lists_files(root: str, csv: str) -> bool:
    """Return whether a column of a CSV names files below the root."""
    try:
        return bool(find_id_column(root, csv))
    except InputError:
        return False


def _held_out(columns: dict[str, tuple[str, ...]]) -> str | None:
    return next((name for name in columns if name.casefold() in _HELD_OUT), None)


def _read(path: Path) -> dict[str, tuple[str, ...]]:
    """Return the first values of each column of a CSV; nothing of one that cannot be read.

    Raises:
        InputError: it is in another encoding than UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            separator = separator_of(file.readline().rstrip("\r\n"))
            file.seek(0)
            header, *rows = islice(csv.reader(file, delimiter=separator), _ROWS + 1)
    except UnicodeDecodeError:
        raise InputError(f"data={path} {encoding_fault(path.read_bytes())}") from None
    except (OSError, ValueError, csv.Error):
        return {}
    full = [row for row in rows if len(row) == len(header)]
    return {name.strip(): tuple(row[index] for row in full) for index, name in enumerate(header)}


def _sample(values: tuple[str, ...]) -> list[str]:
    """Return some of the different values, from all over the column, without blank ones."""
    # Different ones: of the classes 0 and 1 there may be files, too.
    filled = [value for value in dict.fromkeys(values) if value.strip()]
    return filled[:: max(1, -(-len(filled) // _SAMPLE))]


def _best_locations(root: Path, values: tuple[str, ...]) -> tuple[int, list[FileLocation]]:
    """Return how many files of a column were found, and the locations where most of them were."""
    sample = _sample(values)
    folders = [".", *subfolders(root)]
    hits = {
        FileLocation(folder, suffix): found
        for folder in folders
        for suffix, found in _suffixes(root / folder, sample)
        if found
    }
    most = max(hits.values(), default=0)
    return most, [location for location, found in hits.items() if found == most]


def _suffixes(folder: Path, values: list[str]) -> Iterator[tuple[str | None, int]]:
    """Yield each suffix that makes values names of files of a folder, and of how many values."""
    yield None, sum(_is_file(folder, value) for value in values)
    found = {suffix for value in values[:3] for suffix in _after(folder / value)}
    for suffix in sorted(found):
        yield suffix, sum(_is_file(folder, f"{value}{suffix}") for value in values)


def _is_file(folder: Path, name: str) -> bool:
    # An absolute one lies in no folder.
    return not name.startswith("/") and is_file(folder / name)


def _after(stem: Path) -> Iterator[str]:
    """Yield the suffixes of the files whose name is that of a path and a suffix."""
    folder = stem.parent
    for name in _names(folder, folder.stat().st_mtime_ns) if is_folder(folder) else ():
        rest = name.removeprefix(stem.name)
        if rest != name and rest.startswith("."):
            yield rest


@cache
def _names(folder: Path, changed: int) -> tuple[str, ...]:
    """Return the names in a folder; one that has changed since is listed again."""
    return tuple(path.name for path in folder.iterdir())


def _nothing_found(root: str, csv: str, columns: dict[str, tuple[str, ...]]) -> str:
    for name, values in columns.items():
        if file := next((each for each in values if each.startswith("/") and is_file(each)), None):
            return (
                f"data={csv}: the column {name!r} holds absolute paths ({file!r}); give them relative to the "
                "folder of the CSV, or to another folder with data=csv data.root=FOLDER data.csv=PATH"
            )
    examples = [f"{name!r} ({', '.join(map(repr, values[:2]))})" for name, values in columns.items()]
    folders = ", ".join(f"{name}/" for name in subfolders(absolute(root))) or "no folders"
    return (
        f"data={csv}: no column names files in {absolute(root)} or a folder of it ({folders}); the columns "
        f"are {', '.join(examples[:10])}. Give data=csv data.root=FOLDER data.csv=PATH data.images=FOLDER "
        "data.suffix=.jpg"
    )


def _are_marks(columns: Iterable[tuple[str, ...]]) -> bool:
    """Return whether columns hold nothing but 0 and 1."""
    return {value.strip() for values in columns for value in values} <= {"0", "1"}


def _group_hint(columns: dict[str, tuple[str, ...]]) -> str:
    """Return which of the columns may be the patient or object of a picture: that of the most values."""
    if not columns:
        return ""
    name = max(columns, key=lambda each: len(set(columns[each])))
    return f"; if pictures with the same {name!r} belong together, give data.group_column={name}, too"
