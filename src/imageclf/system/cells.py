"""CSV files, and cells that a spreadsheet would take for formulas."""

import csv
from pathlib import Path
from typing import Literal

import pandas as pd

from imageclf.system.files import write_text

# https://owasp.org/www-community/attacks/CSV_Injection
_STARTS = ("=", "+", "-", "@", "\t", "\r")


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
