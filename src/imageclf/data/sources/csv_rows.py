"""Find the mistakes in the rows of a CSV of pictures."""

from collections.abc import Iterator

import pandas as pd

from imageclf.system.words import listed

# What a column of held-out rows may say.
SPLITS = dict.fromkeys(("1", "true", "yes", "valid"), "valid") | dict.fromkeys(
    ("0", "false", "no", "train"), "train"
)


def mistakes(rows: pd.DataFrame, may_be_blank: bool = False) -> Iterator[str]:
    """Yield one sentence for each kind of mistake.

    Rows have the columns id, label, split and file, and are indexed by their number in the CSV.
    """
    if len(found := rows[rows["id"].str.strip() == ""]):
        yield f"data.csv: the id is blank in {numbers(found)}; give every row one."
    if not may_be_blank and len(found := rows[rows["label"].str.strip() == ""]):
        yield f"data.csv: the label is blank in {numbers(found)}; give every row one."
    if len(found := rows[~is_inside(rows["file"])]):
        ids = listed(found["id"].tolist())
        yield f"data.csv: ids must not leave data.images, but do in {numbers(found)}: {ids}."
    if len(found := rows[rows["split"].isna()]):
        legal = ", ".join(SPLITS)
        yield f"data.valid_column: values must be among {legal}, but are not in {numbers(found)}."
    if len(found := _contradictions(rows[rows["id"].str.strip() != ""])):
        ids = listed(found["id"].unique().tolist())
        several = f"it has several in {numbers(found)}: {ids}"
        must = "an id must have all its labels in one row, and one split"
        yield f"data.csv: {must if may_be_blank else 'an id must have one label and split'}; {several}."


def is_inside(files: pd.Series) -> pd.Series:
    """Return which paths stay below the folder that they begin at."""
    return ~(files.str.startswith(("/", "../")) | (files == ".."))


def numbers(rows: pd.DataFrame | pd.Series) -> str:
    """Return the rows by their numbers, some of them where there are many: row 3, or rows 3, 5."""
    return f"{'row' if len(rows) == 1 else 'rows'} {listed(rows.index.tolist())}"


def _contradictions(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of files that occur with different labels or splits."""
    repeated = rows[rows["file"].duplicated(keep=False)]
    files = repeated.drop_duplicates(["file", "label", "split"])["file"]
    return repeated[repeated["file"].isin(files[files.duplicated()])]
