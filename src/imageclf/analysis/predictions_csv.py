"""The table of predictions: a row per picture, a probability per class.

Columns are `id, path, label, prediction`, then one per class, in class order and headed by its name; a class
named like one of the first four is headed `class:<name>`. An unknown label is empty.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from imageclf import InputError
from imageclf.system.cells import read_csv, read_heading, write_csv

# Sums of floats may be a little above 1.
_HIGHEST = 1 + 1e-3
# Limit of the numbers to learn: the sum of a few squares of larger ones would overflow float32.
NUMBERS_BELOW = 1e18

TEXT_COLUMNS = ("id", "path", "label", "prediction")


def class_columns(classes: Sequence[str]) -> list[str]:
    """Return the heading of each class's column.

    Raises:
        InputError: two classes would share a heading.
    """
    columns = [f"class:{name}" if name in TEXT_COLUMNS else name for name in classes]
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise InputError(f"two classes would share the column {twice[0]!r}: rename one of them")
    return columns


def predictions_table(
    ids: Sequence[str],
    paths: Sequence[str],
    labels: Sequence[str | None] | None,
    probabilities: NDArray[np.floating],
    classes: Sequence[str],
    decide: Callable[[NDArray[np.floating], Sequence[str]], list[str]] | None = None,
) -> pd.DataFrame:
    """Return the table of `probabilities` `[N, C]`; `labels` are class names, None or "" where unknown.

    `decide` makes predictions of probabilities and classes; None: `most_probable`.

    Raises:
        InputError: the numbers of ids, paths, labels, rows or classes disagree.
    """
    known = ["" for _ in ids] if labels is None else [label or "" for label in labels]
    shape = (len(ids), len(classes))
    if probabilities.shape != shape or len(paths) != len(ids) or len(known) != len(ids):
        raise InputError(
            f"{len(ids)} ids, {len(paths)} paths, {len(known)} labels, {len(classes)} classes do not match "
            f"probabilities of shape {probabilities.shape}: give {shape}"
        )
    names = (decide or most_probable)(probabilities, classes)
    text = dict(zip(TEXT_COLUMNS, (list(ids), list(paths), known, names), strict=True))
    numbers = pd.DataFrame(probabilities, columns=class_columns(classes))
    # Built from one block: a thousand columns added one by one would fragment the table.
    return pd.concat([pd.DataFrame(text, dtype=object), numbers], axis=1)


def most_probable(probabilities: NDArray[np.floating], classes: Sequence[str]) -> list[str]:
    """Return the class with the highest probability of each row; the first of a tie."""
    # dtype=object keeps Python's strings; numpy's own would copy every name at full width.
    return list(np.array(classes, dtype=object)[probabilities.argmax(axis=1)])


def write_predictions(frame: pd.DataFrame, path: Path) -> None:
    """Write the table as CSV; nine digits keep a float32 exactly."""
    write_csv(frame, path, "%.9g")


def read_predictions(path: Path, classes: Sequence[str], are_numbers: bool = False) -> pd.DataFrame:
    """Read the table of `write_predictions`; ids, paths and labels are text exactly as written.

    With `are_numbers` there are numbers of any size in place of probabilities.

    Raises:
        InputError: the file is missing, its columns are not those of `classes`, or a probability is not a
            number.
    """
    expected = [*TEXT_COLUMNS, *class_columns(classes)]
    if not path.exists():
        raise InputError(f"{path} does not exist: give the predictions CSV of a finished run")
    header = read_heading(path)
    if header != expected:
        raise InputError(f"{path} has the columns {_some(header)}, expected {_some(expected)}: predict again")
    types = dict.fromkeys(TEXT_COLUMNS, "object") | dict.fromkeys(expected[4:], "float64")
    try:
        frame = read_csv(path, types)
    except InputError as error:
        raise InputError(f"{error}, or a probability is not a number: predict again") from None
    probabilities = probabilities_of(frame, classes)
    if are_numbers and np.isfinite(probabilities).all():
        return frame
    # So written that NaN is outside.
    if not ((probabilities >= 0) & (probabilities <= _HIGHEST)).all():
        raise InputError(f"{path} has a probability that is not between 0 and 1: predict again")
    return frame


def read_classes(path: Path) -> list[str]:
    """Return the class names that head the columns of a predictions CSV, in order."""
    # A class that is really called class:label cannot be told from label here.
    reserved = {f"class:{name}": name for name in TEXT_COLUMNS}
    return [reserved.get(column, column) for column in read_heading(path)[4:]]


def probabilities_of(frame: pd.DataFrame, classes: Sequence[str]) -> NDArray[np.float64]:
    """Return the probabilities of a table, `[N, C]`, columns in the order of `classes`."""
    return frame[class_columns(classes)].to_numpy(dtype=np.float64)


def true_numbers(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Return the true numbers of a table of numbers, `[N, C]`; every row has them.

    Raises:
        InputError: a label is something else.
    """
    count = len(frame.columns) - len(TEXT_COLUMNS)
    rows = [text.split("|") for text in frame["label"]]
    strange = next((place for place, row in enumerate(rows) if not _are_numbers(row, count)), None)
    if strange is not None:
        label, path = (frame[name].iloc[strange] for name in ("label", "path"))
        wanted = "a number" if count == 1 else f"{count} numbers joined by |"
        raise InputError(f"the label {label!r} of {path} is not {wanted}: predict again")
    return np.array(rows, dtype=np.float64).reshape(-1, count)


def _are_numbers(words: Sequence[str], count: int) -> bool:
    """Return whether there are `count` words, each a number of legal size."""
    try:
        # No comparison with NaN holds, so it is none, too.
        return len(words) == count and all(abs(float(word)) < NUMBERS_BELOW for word in words)
    except ValueError:
        return False


def class_summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row per predicted class, the most frequent first: prediction, pictures, confidence, unsure.

    Confidence is the mean probability of the predicted class; below one half of it, a picture is unsure.
    """
    return summary_of(frame["prediction"], frame.iloc[:, len(TEXT_COLUMNS) :].max(axis=1))


def summary_of(predictions: ArrayLike, probabilities: ArrayLike) -> pd.DataFrame:
    """Return the rows of `class_summary` of predicted classes `[M]` and their probabilities `[M]`."""
    each = pd.DataFrame({"prediction": np.asarray(predictions), "confidence": np.asarray(probabilities)})
    each["unsure"] = each["confidence"] < 0.5
    columns = {
        "pictures": ("unsure", "size"),
        "confidence": ("confidence", "mean"),
        "unsure": ("unsure", "sum"),
    }
    rows = each.groupby("prediction", sort=True).agg(**columns)
    return rows.sort_values("pictures", ascending=False, kind="stable").reset_index()


def label_indices(frame: pd.DataFrame, classes: Sequence[str]) -> NDArray[np.int64]:
    """Return the position of each true class in `classes`, `[N]`; -1 where the label is unknown.

    Raises:
        InputError: a label is not among `classes`.
    """
    position = {"": -1} | {name: index for index, name in enumerate(classes)}
    strange = next((label for label in frame["label"] if label not in position), None)
    if strange is not None:
        raise InputError(
            f"the label {strange!r} is not one of the classes {_some(classes)}: correct the label"
        )
    return np.array([position[label] for label in frame["label"]], dtype=np.int64)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 8 else f"{', '.join(names[:8])}, ... ({len(names)} in all)"
