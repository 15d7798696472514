"""Kaggle submissions made from a table of predictions."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from imageclf import InputError
from imageclf.analysis.predictions import probabilities_of
from imageclf.system.files import write_text


def probability_submission(
    predictions: pd.DataFrame, classes: Sequence[str], sample: Path | None = None
) -> pd.DataFrame:
    """Return a column `id` (the file's stem), then one probability per class: the dog-breed form.

    `sample` is the competition's sample_submission CSV: its ids, order of rows, order of columns and heading
    of the first column are kept, and pictures that it does not list are left out.

    Raises:
        InputError: two pictures share an id, or the sample asks for an id or a class that is not there.
    """
    table = pd.DataFrame(probabilities_of(predictions, classes), columns=list(classes))
    if sample is None:
        table.insert(0, "id", _ids(predictions, suffix=False), allow_duplicates=True)
        return table
    wanted = _read_sample(sample)
    # Kaggle scores by heading, but a sample's own order is what its page documents.
    columns = list(wanted.columns[1:])
    if set(columns) != set(classes):
        strange = sorted(set(columns) ^ set(classes))[0]
        raise InputError(
            f"{sample} and the run disagree on the class {strange!r}: give the sample of this run's data"
        )
    rows = table.iloc[_rows(predictions, wanted, sample)][columns].reset_index(drop=True)
    rows.insert(0, wanted.columns[0], wanted.iloc[:, 0], allow_duplicates=True)
    return rows


def label_submission(predictions: pd.DataFrame, sample: Path | None = None) -> pd.DataFrame:
    """Return two columns, `id` (the file's stem) and `label` (the predicted class).

    `sample` is the competition's sample_submission CSV: its ids, order of rows and headings are kept.

    Raises:
        InputError: two pictures share an id, or the sample asks for an id that is not there.
    """
    if sample is None:
        return pd.DataFrame({"id": _ids(predictions, suffix=False), "label": list(predictions["prediction"])})
    wanted = _read_sample(sample)
    if len(wanted.columns) != 2:
        raise InputError(
            f"{sample} has {len(wanted.columns)} columns, expected are an id and a label: use the other form"
        )
    # By position: both columns may carry the same heading.
    wanted.isetitem(1, list(predictions["prediction"].iloc[_rows(predictions, wanted, sample)]))
    return wanted


def write_submission(frame: pd.DataFrame, path: Path) -> None:
    """Write a submission as CSV, whole or not at all."""
    text = frame.to_csv(index=False, float_format="%.9g", lineterminator="\n")
    write_text(path, text)


def _read_sample(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise InputError(f"{path} does not exist: give the competition's sample_submission CSV")
    # Text throughout: an id like 00123 must come back as it was written.
    return pd.read_csv(path, dtype=object, keep_default_na=False)


def _rows(predictions: pd.DataFrame, wanted: pd.DataFrame, sample: Path) -> list[int]:
    asked = list(wanted.iloc[:, 0])
    # Some competitions list "0021.png", most list "0021".
    suffix = bool(asked) and Path(asked[0]).name in {Path(path).name for path in predictions["path"]}
    # A dictionary, for a sample of 100,000 rows would take minutes with list.index.
    row_of = {identity: row for row, identity in enumerate(_ids(predictions, suffix))}
    missing = next((identity for identity in asked if identity not in row_of), None)
    if missing is not None:
        raise InputError(
            f"{sample} asks for the id {missing!r}, which was not predicted: predict the whole test set"
        )
    return [row_of[identity] for identity in asked]


def _ids(predictions: pd.DataFrame, suffix: bool) -> list[str]:
    ids = [Path(path).name if suffix else Path(path).stem for path in predictions["path"]]
    seen: set[str] = set()
    for identity in ids:
        if identity in seen:
            raise InputError(
                f"two pictures share the id {identity!r}: a submission needs distinct file names"
            )
        seen.add(identity)
    return ids
