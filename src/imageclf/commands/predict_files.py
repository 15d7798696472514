"""The files that imageclf-predict writes, none of which replaces another silently, and its summary."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.table import Table as RichTable

from imageclf import InputError
from imageclf.analysis.predictions_csv import read_predictions
from imageclf.data import Table
from imageclf.data.sources.unlabelled import STDIN
from imageclf.system.cells import csv_text
from imageclf.system.files import write_text
from imageclf.system.printable import cell
from imageclf.system.words import counted

# Classes in the summary.
_SHOWN = 20


def output_of(output: str | None, data: str | Sequence[str], tag: str, run_dir: Path) -> Path:
    """Return the path of the CSV; by default it is not a file of the run itself.

    `tag` is what the name says of how it was made.
    """
    if output is not None:
        return Path(output).expanduser()
    given = [data] if isinstance(data, str) else list(data)
    name = _name(given[0]) if given else ""
    name += f"-and-{len(given) - 1}-more" if len(given) > 1 else ""
    # The run's own files.
    name += "-folder" if name in ("valid", "test") else ""
    return run_dir / "predictions" / f"{name}{tag}.csv"


def check_output(path: Path) -> None:
    """Refuse a path that cannot be written, before anything is predicted; its folder is made."""
    if path.is_dir():
        raise InputError(f"output={path} is a folder: give the path of a CSV, such as {path / 'new.csv'}")
    if path.exists() and not path.is_file():
        raise InputError(f"output={path} is a device or a pipe, not a file: give the path of a CSV")
    probe = path.with_name(f".{path.name}.probe")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise _unwritable(path, error) from None


def check_same_rows(path: Path, table: Table, are_numbers: bool) -> None:
    """Refuse, before anything is predicted, to replace a file that has not the rows of a table.

    `are_numbers` says whether there are numbers in place of probabilities.
    """
    if not path.exists():
        return
    try:
        is_same = read_predictions(path, table.classes, are_numbers)["path"].tolist() == table.paths
    except (InputError, ValueError):
        is_same = False
    if not is_same:
        raise _replacing(path, "other pictures or classes")


def write_new(
    output: Path,
    predictions: pd.DataFrame,
    skipped: pd.DataFrame,
    submission: pd.DataFrame | None,
    overwrite: bool,
) -> list[Path]:
    """Write the tables that are there, and return their files: skipped, the submission, the predictions.

    Raises:
        InputError: a file of another content is there and `overwrite` is off, or one cannot be written.
    """
    beside = {name: output.with_name(f"{output.stem}-{name}.csv") for name in ("skipped", "submission")}
    # A list of an earlier prediction would be taken for this one's.
    has_skipped = len(skipped) > 0 or beside["skipped"].exists()
    texts = {beside["skipped"]: csv_text(skipped)} if has_skipped else {}
    if submission is not None:
        texts[beside["submission"]] = csv_text(submission, "%.9g")
    # Nine digits keep a float32 exactly.
    texts[output] = csv_text(predictions, "%.9g")
    for path, text in texts.items():
        if not overwrite and _content(path) not in (None, text):
            raise _replacing(path, "another content")
    for path, text in texts.items():
        try:
            write_text(path, text)
        except OSError as error:
            raise _unwritable(path, error) from None
    return list(texts)


def summary_table(predictions: pd.DataFrame, rows: pd.DataFrame, skipped: pd.DataFrame) -> RichTable:
    """Return how many pictures each class was predicted for, and how confidently, for the terminal.

    `rows` are the `summary` of their task: the first column is what is predicted, the others are numbers.
    """
    headings = {"confidence": "mean confidence", "unsure": "below 0.5"}
    title = counted(len(predictions), "picture") + (f", {len(skipped):,} skipped" if len(skipped) else "")
    more = f"{len(rows) - _SHOWN} more classes" if len(rows) > _SHOWN else None
    table = RichTable(box=SIMPLE_HEAD, title=title, title_justify="left", caption=more)
    table.add_column("prediction")
    for name in rows.columns[1:]:
        table.add_column(headings.get(name, name), justify="right")
    for row in rows[:_SHOWN].itertuples(index=False):
        table.add_row(cell(row.prediction), *map(_number, row[1:]))
    return table


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def _name(data: str) -> str:
    if data == STDIN:
        return "stdin"
    path = Path(data).expanduser().resolve()
    return (path.name if path.is_dir() else path.stem) or "pictures"


def _content(path: Path) -> str | None:
    return path.read_bytes().decode("utf-8", "surrogateescape") if path.exists() else None


def _replacing(path: Path, what: str) -> InputError:
    return InputError(f"{path} is there already, with {what}: give output=OTHER.csv, or overwrite=true")


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(f"output={path} cannot be written ({error.strerror}): give another path")
