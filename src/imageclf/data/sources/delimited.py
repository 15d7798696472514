"""Read a CSV as text, exactly as it is written."""

import io
import os
from pathlib import Path

import pandas as pd

from imageclf import InputError
from imageclf.system.conventions import encoding_fault, separator_of, split_header


def read_delimited(path: Path) -> pd.DataFrame:
    """Read a table with a header: every cell is text, "" where empty; nothing becomes a number or NA.

    The separator is whichever of comma, semicolon and tab divides the header best. A byte order
    mark, either kind of line end, quotes and spaces around header names make no difference. Rows
    without any content are left out.

    Returns:
        Text columns named by the header; the index holds the line that each row begins in, from 1.

    Raises:
        InputError: `data.csv` is missing, not UTF-8, has no rows or columns, or a row has more cells
            than the header.
    """
    content = _read_bytes(path)
    separator = _sniff(content, path)
    cells = _parse(content, separator, path)
    lines = pd.Series(range(1, len(cells) + 1))
    if b'"' in content:
        line_breaks = cells.apply(lambda column: column.str.count("\n")).sum(axis=1)
        lines += line_breaks.cumsum().shift(1, fill_value=0)
    header = [str(name).strip() for name in cells.iloc[0]]
    rows = cells.set_axis(header, axis=1).set_axis(pd.Index(lines, name="line"), axis=0).iloc[1:]
    rows = rows[~(cells.iloc[1:] == "").all(axis=1).to_numpy()]
    if rows.empty:
        raise InputError(f"data.csv={os.fspath(path)!r} holds a header but no rows.")
    return rows


def _read_bytes(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"data.csv={os.fspath(path)!r} cannot be read ({error.strerror}).") from None
    fault = encoding_fault(content)
    if fault is not None:
        raise InputError(f"data.csv={os.fspath(path)!r} {fault}.")
    return content.removeprefix(b"\xef\xbb\xbf")


def _sniff(content: bytes, path: Path) -> str:
    header = content.split(b"\n", 1)[0].decode().rstrip("\r")
    best = separator_of(header)
    if len(split_header(header, best)) < 2:
        raise InputError(
            f"data.csv={os.fspath(path)!r} needs a header of two or more columns, separated by "
            f"comma, semicolon or tab, got {header[:80]!r}."
        )
    return best


def _parse(content: bytes, separator: str, path: Path) -> pd.DataFrame:
    try:
        # The header is read as a row: pandas would take a longer second row for one with an index.
        return pd.read_csv(
            io.BytesIO(content),
            sep=separator,
            header=None,
            dtype="str",
            keep_default_na=False,
            na_filter=False,
            skip_blank_lines=False,
            encoding="utf-8",
        )
    except pd.errors.ParserError as error:
        reason = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        raise InputError(
            f"data.csv={os.fspath(path)!r}: {reason}; quote cells that hold the separator {separator!r}."
        ) from None
