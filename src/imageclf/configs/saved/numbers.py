"""Read the numbers of a run directory: a page computes with them.

A damaged file, and a number that no run writes, raise InputError.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imageclf import InputError
from imageclf.configs.keys import accepts
from imageclf.configs.saved.untrusted import read_if_there, read_object
from imageclf.schedule.size import by_pixels, read_size
from imageclf.system.cells import read_csv, read_heading
from imageclf.system.machine import Machine
from imageclf.system.printable import written

REMEDY = "remove it, or run again"
# In summary.json: whole numbers, and values of a type.
_COUNTS = ("epochs", "num_train", "num_valid", "num_test", "num_workers", "model/pictures")
_TYPES: Mapping[str, Any] = Machine.__annotations__ | dict.fromkeys(
    ("experiment", "model", "best", "task"), str
)
# Accuracies of our own; a metric of the user's may be called acc_percent.
_SHARES = re.compile(
    r"(val|test|model)/acc(_(tta|tta_gain|ensemble|(average|soup)(_bn)?|ema|best(_crossfit(_low|_high)?)?|low|high))?"
    r"|model/f[\d.]+_macro_crossfit"
)
_SIZE = re.compile(r"\d{1,4}(x\d{1,4})?")
# Of whole numbers and seconds: more than any run has, and exact in a float.
MOST = 10**12
# Rates of a thousand layer groups, and scores.
_MOST_COLUMNS = 2000
# A float32 goes up to 3e38, and matplotlib to some 1e300.
_MOST_DRAWN = 1e40
# Of a table: where a row stands.
_NEVER_MISSING = ("epoch", "step", "lr")


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object; an empty one if there is no file."""
    return read_if_there(path, read_object, {})


def read_summary(run_dir: Path) -> dict[str, object]:
    """Return summary.json; an empty mapping while a run is going on."""
    path = run_dir / "summary.json"
    summary = read_json(path)
    for name, value in summary.items():
        if value is not None and not _is_legal(name, value):
            raise InputError(f"{path}: {name}={written(value)[:100]}: no run writes that; run again")
    return summary


def _is_legal(name: str, value: Any) -> bool:
    """Return whether a value may stand under a name in summary.json."""
    if name == "classes":
        return accepts(list[str], value) and len(set(value)) == len(value)
    if name == "thresholds":
        return accepts(list[float], value) and all(0 <= each <= 1 for each in value)
    if name == "size":
        return _SIZE.fullmatch(str(value)) is not None and accepts(int | str, value)
    if name in _COUNTS:
        return accepts(int, value) and 0 <= value <= MOST
    if name == "seconds":
        return accepts(float, value) and 0 <= value <= MOST
    if _SHARES.fullmatch(name):
        return is_share(value)
    if name in ("model/loss", "val/loss", "val/loss_tta", "test/loss"):
        return accepts(float, value)
    return accepts(_TYPES.get(name, object), value)


def is_share(value: Any) -> bool:
    """Return whether a value is an accuracy, or a difference of two."""
    return accepts(float, value) and -1 <= value <= 1


def read_metrics(path: Path) -> pd.DataFrame:
    """Return the rows of a metrics.csv, one per epoch."""
    rows = read_numbers(path, ("epoch", "phase"))
    shares = rows[[name for name in map(str, rows) if _SHARES.fullmatch(name)]]
    if bool((shares.abs() > 1).any(axis=None)):
        raise InputError(f"{path} has an accuracy outside of 0 to 1: {REMEDY}")
    return rows


def read_numbers(path: Path, needed: tuple[str, ...]) -> pd.DataFrame:
    """Read a CSV of numbers; a blank cell becomes NaN.

    Text is the column `phase`, and `size` where a run has pictures that are not square: "128x256".

    Without a file, or with an empty one, the table is empty.
    """
    # A run that was killed in its first epoch may leave an empty file.
    if not path.is_file() or path.stat().st_size == 0:
        return pd.DataFrame()
    columns = read_heading(path)
    missing = [name for name in needed if name not in columns]
    if missing or len(columns) > _MOST_COLUMNS:
        what = f"no column {missing[0]}" if missing else f"{len(columns):,} columns"
        raise InputError(f"{path} has {what}: {REMEDY}")
    # As text first: a phase may be called "NA", which pandas takes for a missing value.
    table = read_csv(path)
    texts = ["phase", "size"] if "size" in table and _has_oblongs(table["size"]) else ["phase"]
    for column in table.columns.drop(texts, errors="ignore"):
        table[column] = pd.to_numeric(table[column], errors="coerce").astype("float64")
        _check_numbers(table[column], path)
    return table


def sizes_in(cells: pd.Series) -> list[Any]:
    """Return the sizes in a column of `read_numbers`, each once, the smallest first."""
    if pd.api.types.is_numeric_dtype(cells):
        return sorted({int(cell) for cell in cells})
    texts = {str(cell) for cell in cells if cell}
    return by_pixels({read_size(int(text) if text.isdecimal() else text, "size") for text in texts})


def _has_oblongs(sizes: pd.Series) -> bool:
    """Return whether every cell is a size, and some are not square."""
    cells = [cell for cell in sizes.astype(str) if cell not in ("", "nan")]
    return all(_SIZE.fullmatch(cell) for cell in cells) and any("x" in cell for cell in cells)


def _check_numbers(values: pd.Series, path: Path) -> None:
    """Refuse numbers that cannot be drawn; a score or a loss may be infinite, or missing."""
    name = str(values.name)
    is_score = name in ("loss", "smoothed") or ("/" in name and not name.startswith("lr/"))
    odd = values[(values.abs() > _MOST_DRAWN) & ~(is_score & np.isinf(values))]
    if len(odd) or (name in _NEVER_MISSING and bool(values.isna().any())):
        found = f"{odd.iloc[0]:g}" if len(odd) else "a cell that is no number"
        raise InputError(f"{path} has {found} in the column {name[:100]}: {REMEDY}")
