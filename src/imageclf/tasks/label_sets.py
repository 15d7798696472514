"""Several labels in one text, and how a CSV writes them: in a cell, or as columns of 0 and 1."""

import logging
from collections.abc import Iterable, Sequence
from itertools import chain, compress

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imageclf import InputError
from imageclf.tasks.kinds import Targets

_log = logging.getLogger(__name__)

JOIN = "|"
"""Between the labels of a picture, in split.csv and predictions/*.csv."""

# A space only where no other separates: names of classes may have spaces.
_SEPARATORS = ("|", ";", ",", " ")
_WORDS = {"|": "|", ";": "a semicolon", ",": "a comma", " ": "a space"}
_ONES = frozenset({"1", "1.0", "true"})
_MARKS = _ONES | {"0", "0.0", "false"}


def split_labels(text: str, separator: str = JOIN) -> list[str]:
    """Return the labels in a text, each once, without spaces around them.

    >>> split_labels("haze, primary,haze ", ","), split_labels("")
    (['haze', 'primary'], [])
    """
    names = (name.strip() for name in text.split(separator))
    return [name for name in dict.fromkeys(names) if name]


def names_in(labels: Iterable[str]) -> list[str]:
    """Return the names in joined labels, each once, in the order of appearance."""
    return list(dict.fromkeys(chain.from_iterable(map(split_labels, labels))))


def joined(names: Iterable[str]) -> str:
    """Return names as one text, in an order that does not depend on how they were written.

    Raises:
        InputError: a name contains what joins them.
    """
    ordered = sorted(names)
    odd = next((name for name in ordered if JOIN in name), None)
    if odd is not None:
        raise InputError(f"the class {odd!r} contains {JOIN!r}, which stands between labels: rename it")
    return JOIN.join(ordered)


def label_targets(labels: Sequence[str], classes: Sequence[str]) -> NDArray[np.float32]:
    """Return 1 for each class that joined labels name and 0 for the others, `[N, C]`.

    Raises:
        InputError: a label is not among `classes`.
    """
    place = {name: index for index, name in enumerate(classes)}
    strange = next((name for name in names_in(labels) if name not in place), None)
    if strange is not None:
        raise InputError(f"the label {strange!r} is not one of the {len(place)} classes: correct the label")
    targets = np.zeros((len(labels), len(classes)), dtype=np.float32)
    for row, text in enumerate(labels):
        targets[row, [place[name] for name in split_labels(text)]] = 1
    return targets


def rarest(targets: Targets) -> NDArray[np.int64]:
    """Return the rarest class that each picture has, `[N]`; the number of classes for one without any."""
    counts = np.append((targets == 1).sum(axis=0), len(targets) + 1)
    has = np.column_stack([targets == 1, np.ones(len(targets), dtype=bool)])
    return np.asarray(np.where(has, counts, len(targets) + 2).argmin(axis=1), dtype=np.int64)


def find_separator(cells: Iterable[str]) -> str | None:
    """Return what separates the labels in cells; None where no cell holds more than one.

    >>> find_separator(["golden retriever;ball", "cat"]), find_separator(["haze dew"]), find_separator(["a"])
    (';', ' ', None)
    """
    texts = [text.strip() for text in cells]
    return next((each for each in _SEPARATORS if any(each in text for text in texts)), None)


def separated_as(sample: Sequence[str], labels: Sequence[str], separator: str | None) -> list[str]:
    """Return joined labels separated as in a sample, else by `separator`, else by spaces.

    Where a name has a space, it is `|` in place of the latter.
    """
    usual = JOIN if any(" " in text for text in labels) else " "
    between = find_separator(sample) or separator or usual
    return [between.join(split_labels(text)) for text in labels]


def in_words(separator: str | None) -> str:
    """Return how a separator is called."""
    return "nothing, each holds one" if separator is None else _WORDS.get(separator, repr(separator))


def from_cells(cells: "pd.Series[str]", separator: str | None) -> "pd.Series[str]":
    """Return the joined labels of each cell, and log what separates them.

    Where `separator` is None, it is found; see `find_separator`.

    Raises:
        InputError: they are no names, see `check_names`.
    """
    check_names(cells)
    between = separator or find_separator(cells)
    _log.info("labels in the cells of %r are separated by %s (task.separator)", cells.name, in_words(between))
    return cells.map(lambda cell: joined(split_labels(cell, between or JOIN))).astype("str")


def texts_of(columns: pd.DataFrame, separator: str | None) -> "pd.Series[str]":
    """Return the joined labels of each row, from a column of them or a column of 0 and 1 of each class.

    Raises:
        InputError: see `from_cells` and `from_marks`.
    """
    one = len(columns.columns) == 1
    labels = from_cells(columns.iloc[:, 0], separator) if one else from_marks(columns)
    _log.info("%d of %d pictures have no label", (labels == "").sum(), len(labels))
    return labels


def has_marks(columns: pd.DataFrame) -> bool:
    """Return whether columns of text, two or more, hold 0 and 1; some cells may be blank."""
    cells = set(pd.unique(columns.to_numpy().ravel())) if len(columns.columns) > 1 else set()
    texts = {cell.strip().lower() for cell in cells} - {""}
    return bool(texts) and texts <= _MARKS


def check_names(cells: "pd.Series[str]") -> None:
    """Refuse a column of labels that holds nothing but 0 and 1.

    Raises:
        InputError: it does.
    """
    texts = {cell.strip().lower() for cell in cells} - {""}
    if texts and texts <= _MARKS:
        raise InputError(
            f"data.label_column={cells.name}: it holds nothing but 0 and 1, which are no names; list "
            "the columns of all labels, or give null for all that have no other use"
        )


def from_marks(columns: pd.DataFrame) -> "pd.Series[str]":
    """Return the joined names of the columns that hold a 1, by row, and log which columns these are.

    Raises:
        InputError: a cell holds something else than 0 or 1, or a heading is no name of a class.
    """
    names = [str(name).strip() for name in columns.columns]
    _check_headings(names)
    cells = columns.apply(lambda column: column.str.strip().str.lower())
    odd = np.argwhere(~cells.isin(_MARKS).to_numpy())
    if len(odd):
        row, column = odd[0]
        raise InputError(
            f"data.label_column: the column {names[column]!r} holds {columns.iat[row, column]!r} in row "
            f"{columns.index[row]}; a column of a class holds 0 and 1"
        )
    rows = (joined(compress(names, row)) for row in cells.isin(_ONES).to_numpy())
    labels = pd.Series(list(rows), index=columns.index, dtype="str")
    _log.info("labels: a 1 in the columns %s", ", ".join(map(str, columns.columns)))
    if unused := sorted(set(map(str, columns.columns)) - set(names_in(labels))):
        _log.warning("columns without any 1 are no classes: %s", ", ".join(unused))
    return labels


def _check_headings(names: Sequence[str]) -> None:
    odd = next((name for name in names if not name or names.count(name) > 1), None)
    if odd is not None:
        what = f"two columns of 0 and 1 are headed {odd!r}" if odd else "a column of 0 and 1 has no heading"
        raise InputError(f"data.label_column: {what}; give each class a name of its own")
    joined(names)
