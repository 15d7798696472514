"""CSV files, which anyone may have written, and cells that a spreadsheet would take for formulas."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pandas as pd

from imageclf.system.errors import InputError
from imageclf.system.files import check_size, write_text
from imageclf.system.words import reason_of

# https://owasp.org/www-community/attacks/CSV_Injection
_STARTS = ("=", "+", "-", "@", "\t", "\r")


# A table of predictions has 600 MB for 50,000 pictures and 1,000 classes.
_MOST_BYTES = 16_000_000_000
# A heading of 20,000 classes has some 400,000.
_MOST_IN_HEADING, _MOST_COLUMNS = 4_000_000, 100_000


def read_csv(path: Path, types: Mapping[str, str] | str = "object") -> pd.DataFrame:
    """Return a table as it is written: of text, none of which stands for a missing value.

    Bytes that are not UTF-8 are kept. `types` are those of all columns, or by column.

    Raises:
        InputError: it is no regular file, too large, or no CSV of these types.
    """
    read_heading(path)
    try:
        return pd.read_csv(path, dtype=types, keep_default_na=False, encoding_errors="surrogateescape")
    # Its parsers raise all kinds of errors for hostile input.
    except Exception as error:
        raise InputError(f"{path} is damaged ({reason_of(error)})") from None


def read_heading(path: Path) -> list[str]:
    """Return the first row of a CSV; it is empty for an empty file.

    Raises:
        InputError: as `read_csv`.
    """
    check_size(path, _MOST_BYTES)
    try:
        with path.open("rb") as file:
            start = file.read(_MOST_IN_HEADING).decode("utf-8", "surrogateescape")
        heading = next(csv.reader(io.StringIO(start, newline="")), [])
    except (OSError, csv.Error) as error:
        raise InputError(f"{path} is damaged ({reason_of(error)})") from None
    if len(heading) > _MOST_COLUMNS:
        raise InputError(f"{path} has {len(heading):,} columns: no run writes so many")
    return heading


def write_csv(
    table: pd.DataFrame,
    path: Path,
    float_format: str | None = None,
    quoting: Literal[0, 2] = csv.QUOTE_MINIMAL,
) -> None:
    """Write a table as CSV, whole or not at all; `quoting` is one of the csv module's constants."""
    write_text(path, csv_text(table, float_format, quoting))


def csv_text(
    table: pd.DataFrame, float_format: str | None = None, quoting: Literal[0, 2] = csv.QUOTE_MINIMAL
) -> str:
    """Return a table as the text of a CSV."""
    return table.to_csv(index=False, lineterminator="\n", float_format=float_format, quoting=quoting)


def without_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose texts no spreadsheet runs: an apostrophe goes before those that it would.

    Numbers stay numbers, written as text or not. For CSVs that are read by people only.
    """
    quoted = table.rename(columns=quoted_text)
    # By position: headings need not differ.
    columns = [quoted.iloc[:, place] for place in range(quoted.shape[1])]
    is_number = pd.api.types.is_numeric_dtype
    mended = [column if is_number(column.dtype) else column.map(quoted_text) for column in columns]
    return pd.concat(mended, axis=1) if mended else quoted


def quoted_text(value: object) -> object:
    """Return a cell, with an apostrophe before a text that a spreadsheet takes for a formula.

    >>> quoted_text("=1+1"), quoted_text("-0.5"), quoted_text("-x"), quoted_text(-1)
    ("'=1+1", '-0.5', "'-x", -1)
    """
    if not isinstance(value, str) or not value.startswith(_STARTS) or _is_number(value):
        return value
    return f"'{value}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    # Python also reads 1_000 and spaces around.
    return text.strip() == text and "_" not in text
