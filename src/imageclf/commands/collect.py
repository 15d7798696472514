"""One table of all runs below a folder, in the terminal and as files."""

import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig
from rich.table import Table

from imageclf import InputError
from imageclf.analysis.folds import (
    Folds,
    find_folds,
    find_seeds,
    fold_summary,
    fold_table,
    joint_facts,
    out_of_fold,
    seed_table,
)
from imageclf.analysis.predictions_csv import write_predictions
from imageclf.analysis.run_settings import RunRecord, is_refused, with_options
from imageclf.analysis.runs_table import run_table, sort_runs
from imageclf.commands.records import OTHER, find_folders, find_searches, is_job, name_of, read_record
from imageclf.report.runs_numbers import Column, fold_columns, seed_columns, status_words
from imageclf.report.runs_page import Runs, others_sentence, refused_sentence, write_runs_report
from imageclf.system.cells import without_formulas, write_csv
from imageclf.system.files import why_not_listed, write_json
from imageclf.system.printable import cell, console, show
from imageclf.system.words import counted, joined, typed_line
from imageclf.training.check_keys import checked

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CollectOptions:
    """What imageclf-collect takes.

    conf/commands/collect.yaml explains each key.
    """

    root: str
    sort: str | None
    out: str | None


def run(cfg: DictConfig, folder: Path) -> None:
    """Print the table of runs, write it as files, and print where the page is."""
    options = checked(cfg, CollectOptions)
    runs = collect(options)
    page = write_files(runs, Path(options.out or options.root).expanduser())
    # In a file or a pipe rows are whole, however many settings differ.
    terminal = console(width=500)
    for table in terminal_tables(runs, terminal.width):
        terminal.print(table)
    for line in [*causes(runs), *([refused_sentence(runs.refused)] if runs.refused else [])]:
        terminal.print(cell(line), soft_wrap=True)
    show(page)


def collect(options: CollectOptions) -> Runs:
    """Read all runs below a folder, finished or not.

    Raises:
        InputError: the folder cannot be read, it holds no run that began, or `sort` is not a column.
    """
    root = Path(options.root).expanduser()
    if reason := why_not_listed(root):
        raise InputError(f"root={options.root}: {reason}")
    found = {name_of(folder, root): (folder, reason) for folder, reason in find_folders(root)}
    folders = {name: folder for name, (folder, reason) in found.items() if not reason}
    others = {name: reason for name, (_, reason) in found.items() if reason}
    read = {name: _record_or_reason(run_dir, root) for name, run_dir in folders.items()}
    whole = [run for run in read.values() if isinstance(run, RunRecord)]
    # A typo that was corrected at once is no result; of a sweep, each job is one.
    refused = {run.name: run.cause for run in whole if is_refused(run) and not is_job(folders[run.name])}
    records = with_options([run for run in whole if run.name not in refused])
    left_out = {name: reason for name, reason in read.items() if isinstance(reason, str)}
    left_out |= {name: reason for name, reason in others.items() if reason != OTHER}
    num_others = list(others.values()).count(OTHER)
    for name, reason in left_out.items():
        log.warning("left out: %s: %s", name, reason)
    if num_others:
        log.info("%s", others_sentence(num_others))
    if not records:
        what = "no run: give a folder that imageclf-train has written"
        if refused:
            what = f"no run to show: {refused_sentence(refused)}"
        raise InputError(f"root={options.root} holds {what}")
    sort = options.sort or optimized_metric(records)
    table = run_table(records, sort)
    # Before the first epoch no run has the score.
    if options.sort is not None or sort in table:
        table = sort_runs(table, sort, records)
    # Scores on different pictures do not compare: the runs of a data set stand together, its best one first.
    if "data_set" in table:
        first = {name: place for place, name in enumerate(table["data_set"].unique())}
        table = table.sort_values("data_set", key=lambda names: names.map(first), kind="stable")
    ranked = [records[place] for place in table.index]
    return Runs(
        root=str(root.resolve()),
        sort=sort,
        records=ranked,
        table=table.reset_index(drop=True),
        folds=_folds(ranked),
        seeds=find_seeds(ranked),
        left_out=left_out,
        refused=refused,
        num_others=num_others,
        searches=find_searches(root, folders.values()),
    )


def _record_or_reason(run_dir: Path, root: Path) -> RunRecord | str:
    """Return a run, or why it cannot be put into a table."""
    try:
        record = read_record(run_dir, root)
        run_table([record], "val/acc")
    # Anyone may have written the run: what is in it may raise anything.
    except Exception as error:
        return typed_line(error)
    return record


def write_files(runs: Runs, out: Path) -> Path:
    """Write collect.csv and collect.html; folds.csv, oof.csv, thresholds.json, seeds.csv if there are any.

    Those that an earlier call has left there, of runs that are grouped otherwise now, are removed.

    Returns:
        The page.
    """
    # Beside a page of ours they are ours; a file of the user's would have another name, or no page beside it.
    names = re.compile(r"folds\.csv|seeds\.csv|oof(-\d+)?\.csv|thresholds(-\d+)?\.json")
    there = sorted(out.iterdir()) if (out / "collect.html").exists() else []
    earlier = [path for path in there if names.fullmatch(path.name)]
    for path in earlier:
        path.unlink(missing_ok=True)
    write_csv(without_formulas(runs.table), out / "collect.csv")
    if runs.folds:
        write_csv(without_formulas(fold_table(runs.folds)), out / "folds.csv")
    if runs.seeds:
        write_csv(without_formulas(seed_table(runs.seeds)), out / "seeds.csv")
    for number, group in enumerate(runs.folds, 1):
        which = "" if len(runs.folds) == 1 else f"-{number}"
        write_predictions(out_of_fold(group), out / f"oof{which}.csv")
        if facts := joint_facts(group):
            _write_learned(facts, group, out / f"thresholds{which}.json")
    gone = [path.name for path in earlier if not path.exists()]
    if gone:
        log.info("removed %s, which an earlier imageclf-collect wrote in %s", joined(gone), out)
    return write_runs_report(runs, out / "collect.html")


def _write_learned(facts: Mapping[str, object], group: Folds, path: Path) -> None:
    write_json(path, {**facts, "classes": list(group.runs[0].classes)})
    log.info(
        "thresholds of the classes, tuned on the held-out pictures of %d of %d folds, are in %s; "
        "imageclf-predict and imageclf-export take them by thresholds=%s",
        *(len(group.runs), group.number, path, path),
    )


def optimized_metric(records: Sequence[RunRecord]) -> str:
    """Return the metric that most runs optimize; the first of a tie."""
    names = Counter(str(run.config.get("optimized_metric") or "val/acc") for run in records)
    return names.most_common(1)[0][0]


def terminal_tables(runs: Runs, width: int) -> list[Table]:
    """Return the runs of each data set and their summaries as tables of at most `width` characters."""
    tables = []
    for name, places in runs.groups:
        number, where = counted(len(places), "run"), f" on {name}" if name else ""
        title = f"{number}{where}, ranked by {runs.sort}"
        tables.append(_table(runs.columns(places), width, title, "collect.csv"))
    if runs.folds:
        tables.append(_table(fold_columns(fold_table(runs.folds)), width, "Cross-validation", "folds.csv"))
    if runs.seeds:
        tables.append(_table(seed_columns(seed_table(runs.seeds)), width, "Mean over seeds", "seeds.csv"))
    return tables


def causes(runs: Runs) -> list[str]:
    """Return why runs ended before they were finished, a line each."""
    rows = zip(runs.records, status_words(runs.table), strict=True)
    return [f"{run.name} ({status}): {run.cause}" for run, status in rows if run.cause]


def fitting(columns: Sequence[Column], width: int) -> list[Column]:
    """Return the columns that fit into `width` characters; the last of the highest rank is left out first."""
    kept = list(columns)
    while sum(map(_width, kept)) + 1 > width:
        # Reversed: max returns the first of a tie.
        last = max(reversed(kept), key=lambda column: column.rank)
        if last.rank == 0:
            break
        kept.remove(last)
    return kept


def _width(column: Column) -> int:
    # Between columns there are two spaces and a line.
    return max(map(len, (column.title, *column.cells))) + 3


def _table(columns: Sequence[Column], width: int, title: str, file: str) -> Table:
    kept = fitting(columns, width)
    left_out = len(columns) - len(kept)
    table = Table(title=cell(title), caption=f"{left_out} more columns are in {file}" if left_out else None)
    for column in kept:
        table.add_column(cell(column.title), justify="right" if column.is_number else "left", overflow="fold")
    for row in zip(*(column.cells for column in kept), strict=True):
        table.add_row(*map(cell, row))
    return table


def _folds(records: Sequence[RunRecord]) -> list[Folds]:
    """Return the cross-validations whose predictions can be joined, and log what is left out."""
    joined = []
    for group in find_folds(records):
        if group.replaced:
            log.warning("folds: %s was run again and does not count", ", ".join(group.replaced))
        try:
            fold_summary(group)
        except InputError as error:
            log.warning("folds: %s", error)
        else:
            joined.append(group)
    return joined
