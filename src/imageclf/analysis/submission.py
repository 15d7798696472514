"""Kaggle submissions made from a table of predictions."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from imageclf import InputError
from imageclf.analysis.predictions_csv import probabilities_of
from imageclf.system.cells import write_csv

Write = Callable[[Sequence[str], Sequence[str]], list[str]]


def submission_of(
    predictions: pd.DataFrame, classes: Sequence[str], sample: Path, write: Write | None = None
) -> pd.DataFrame:
    """Return a submission in the form of a sample: probabilities if it has a column per class, else labels.

    Raises:
        InputError: the sample has neither form, or see `probability_submission`.
    """
    header = list(_read_sample(sample).columns)
    if len(header) == 2 and set(header[1:]) != set(classes):
        return label_submission(predictions, sample, write)
    return probability_submission(predictions, classes, sample)


def probability_submission(
    predictions: pd.DataFrame, classes: Sequence[str], sample: Path | None = None
) -> pd.DataFrame:
    """Return a column `id` (the file's stem), then one probability per class, as for dog breeds.

    `sample` is the competition's sample_submission CSV: its ids, row order, column order and the heading of
    its first column are kept.

    Raises:
        InputError: two pictures share an id, or the sample and the predictions differ in ids or classes.
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
            f"{sample} and the run disagree on the class {strange!r}: give the sample of this data"
        )
    rows = table.iloc[_rows(predictions, wanted, sample)][columns].reset_index(drop=True)
    rows.insert(0, wanted.columns[0], wanted.iloc[:, 0], allow_duplicates=True)
    return rows


def label_submission(
    predictions: pd.DataFrame, sample: Path | None = None, write: Write | None = None
) -> pd.DataFrame:
    """Return two columns, `id` (the file's stem) and `label` (the predicted class).

    `sample` is the competition's sample_submission CSV: its ids, row order and headings are kept. `write`
    turns predictions and the sample's labels into what is written; None: the predictions themselves.

    Raises:
        InputError: two pictures share an id, or the sample and the predictions differ in ids.
    """
    predicted = list(predictions["prediction"])
    if sample is None:
        labels = predicted if write is None else write(predicted, ())
        return pd.DataFrame({"id": _ids(predictions, suffix=False), "label": labels})
    wanted = _read_sample(sample)
    if len(wanted.columns) != 2:
        raise InputError(
            f"{sample} has {len(wanted.columns)} columns, expected an id and a label: use the other form"
        )
    # By position: both columns may have the same heading.
    chosen = [predicted[row] for row in _rows(predictions, wanted, sample)]
    wanted.isetitem(1, chosen if write is None else write(chosen, wanted.iloc[:, 1].tolist()))
    return wanted


def write_submission(frame: pd.DataFrame, path: Path) -> None:
    """Write a submission as CSV."""
    write_csv(frame, path, "%.9g")


def _read_sample(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise InputError(f"{path} does not exist: give the competition's sample_submission CSV")
    try:
        # Text throughout: an id such as 00123 must stay as it was written.
        return pd.read_csv(path, dtype=object, keep_default_na=False)
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is no CSV ({reason}): give the competition's sample_submission") from None


def _rows(predictions: pd.DataFrame, wanted: pd.DataFrame, sample: Path) -> list[int]:
    asked = list(wanted.iloc[:, 0])
    # Some competitions list "0021.png", most list "0021".
    suffix = bool(asked) and Path(asked[0]).name in {Path(path).name for path in predictions["path"]}
    row_of = {name: row for row, name in enumerate(_ids(predictions, suffix))}
    missing = [name for name in asked if name not in row_of]
    if missing:
        verb = "was" if len(missing) == 1 else "were"
        raise InputError(
            f"{sample}: {len(missing)} of its {len(asked)} ids {verb} not predicted, such as {missing[0]!r}: "
            "each needs a picture that can be read among those to predict"
        )
    extra = sorted(set(row_of) - set(asked))
    if extra:
        raise InputError(
            f"{sample} does not list {len(extra)} of the {len(row_of)} pictures, such as {extra[0]!r}: "
            "predict the test set alone"
        )
    return [row_of[name] for name in asked]


def _ids(predictions: pd.DataFrame, suffix: bool) -> list[str]:
    ids = pd.Series([Path(path).name if suffix else Path(path).stem for path in predictions["path"]])
    repeated = ids[ids.duplicated()]
    if len(repeated):
        raise InputError(
            f"two pictures share the id {repeated.iloc[0]!r}: a submission needs distinct file names"
        )
    return ids.tolist()
