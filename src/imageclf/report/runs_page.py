"""The page about many runs: their curves in one plot, and their table."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from markupsafe import Markup

from imageclf.analysis.folds import Folds, fold_table
from imageclf.analysis.run_settings import RunRecord
from imageclf.analysis.runs_table import setting_columns
from imageclf.report.page import Card, render_page, score_text, svg_plot
from imageclf.report.plots.runs_plot import colours, runs_figure
from imageclf.report.runs_numbers import Column, fold_columns, run_columns
from imageclf.system.files import write_bytes

_CURVES = (("val/acc", "Validation accuracy"), ("val/loss", "Validation loss"))


@dataclass(frozen=True)
class Runs:
    """Many runs, best first.

    Args:
        root: the folder that holds them.
        sort: the column that orders them.
        records: one per run.
        table: a row per run, in the same order.
        folds: the cross-validations among them.
    """

    root: str
    sort: str
    records: Sequence[RunRecord]
    table: pd.DataFrame
    folds: Sequence[Folds]

    @property
    def columns(self) -> list[Column]:
        """The columns of the table to show."""
        return run_columns(self.table, setting_columns(self.records), self.sort)


def write_runs_report(runs: Runs, path: Path) -> Path:
    """Write the page, and return its path."""
    folds = fold_table(runs.folds) if runs.folds else pd.DataFrame()
    page = render_page(
        "runs_page.html.j2",
        name=Path(runs.root).name or "Runs",
        root=runs.root,
        sort=runs.sort,
        cards=[*_cards(runs), *_fold_cards(runs.folds, folds)],
        plots=_plots(runs),
        colours=colours([run.name for run in runs.records]),
        columns=runs.columns,
        records=runs.records,
        reports=[_link(run, path.parent) for run in runs.records],
        failures=[run for run in runs.records if run.cause],
        folds=fold_columns(folds) if runs.folds else [],
        num_folds=len(runs.folds),
    )
    write_bytes(path, page)
    return path


def _link(run: RunRecord, folder: Path) -> str:
    """Return the URL of a run's own report, relative to a folder; "" if there is none."""
    return quote(os.path.relpath(run.report, folder.absolute())) if run.report else ""


def _plots(runs: Runs) -> list[tuple[str, Markup]]:
    plots = []
    chosen = colours([run.name for run in runs.records])
    for score, title in _CURVES:
        measured = [run for run in runs.records if score in run.metrics and run.metrics[score].notna().any()]
        if measured:
            curves = {run.name: run.metrics for run in measured}
            plots.append((title, svg_plot(runs_figure(curves, score, chosen), f"{title} over the epochs")))
    return plots


def _cards(runs: Runs) -> list[Card]:
    counts = Counter(run.status for run in runs.records)
    note = ", ".join(f"{count} {status}" for status, count in counts.items())
    cards = [Card("runs", "Runs", str(len(runs.records)), note)]
    scores = runs.table.get(runs.sort, pd.Series(dtype=float))
    # Runs may also be sorted by a text, such as a setting.
    if pd.api.types.is_numeric_dtype(scores) and scores.notna().any():
        best = runs.table.iloc[0]
        cards.append(Card("best", f"Best {runs.sort}", score_text(runs.sort, best[runs.sort]), best["run"]))
    return cards


def _fold_cards(folds: Sequence[Folds], table: pd.DataFrame) -> list[Card]:
    scores = [score_text("oof/acc", accuracy) for accuracy in table["oof/acc"]] if len(table) else []
    return [
        Card("oof", "Out-of-fold accuracy", score, f"{len(group.runs)} of {group.number} folds")
        for group, score in zip(folds, scores, strict=True)
    ]
