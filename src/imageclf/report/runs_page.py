"""The page about many runs: their curves in one plot, and their table."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pandas as pd
from markupsafe import Markup

from imageclf.analysis.folds import Folds, fold_table, seed_table
from imageclf.analysis.run_settings import UNKNOWN, RunRecord
from imageclf.analysis.runs_table import setting_columns
from imageclf.analysis.search import SearchRecord
from imageclf.report.page import Card, render_page, score_text, svg_plot
from imageclf.report.plots.curves import colours, runs_figure
from imageclf.report.plots.search_plot import history_figure, importance_figure
from imageclf.report.runs_numbers import Column, fold_columns, run_columns, seed_columns, status_words
from imageclf.system.files import write_bytes
from imageclf.system.words import counted

# Of runs that did not begin, that are told in a sentence.
_REASONS = 3
_FOLD_TITLES = {"oof/acc": "Out-of-fold accuracy", "oof/map": "Out-of-fold mAP", "oof/r2": "Out-of-fold R²"}
_CURVES = (("val/acc", "Validation accuracy"), ("val/loss", "Validation loss"))


@dataclass(frozen=True)
class Runs:
    """Many runs below a folder, best first by the column `sort`; `records` and `table` are in the same order.

    `folds` are the cross-validations among them, `seeds` the groups that differ only in the seed, and
    `searches` those that some of the runs belong to. Three kinds of folders are not in the table: `left_out`
    could not be read, and `refused` are runs that a mistake ended before they began, both with the reason by
    their name; `num_others` counts those of other commands.
    """

    root: str
    sort: str
    records: Sequence[RunRecord]
    table: pd.DataFrame
    folds: Sequence[Folds]
    seeds: Sequence[Sequence[RunRecord]]
    left_out: Mapping[str, str]
    refused: Mapping[str, str] = field(default_factory=dict)
    num_others: int = 0
    searches: Sequence[SearchRecord] = ()

    @property
    def groups(self) -> list[tuple[str, list[int]]]:
        """The places of the runs of each data set, under its name; "" if there is one data set only."""
        if "data_set" not in self.table:
            return [("", list(range(len(self.records))))]
        places = self.table.groupby("data_set", sort=False).groups
        return [(str(name), list(rows)) for name, rows in places.items()]

    def columns(self, places: Sequence[int]) -> list[Column]:
        """Return the columns that show the runs of a data set, with the settings in which these differ."""
        table = self.table.iloc[list(places)].reset_index(drop=True)
        differing = [name for name in setting_columns(table) if len(set(table[name]) - {UNKNOWN}) > 1]
        return run_columns(table, differing, self.sort)


def others_sentence(number: int) -> str:
    """Return how many folders of other commands are left out.

    >>> others_sentence(17), others_sentence(1)
    ('17 folders of other commands are left out', '1 folder of another command is left out')
    """
    return f"{counted(number, 'folder of another command is', 'folders of other commands are')} left out"


def refused_sentence(reasons: Mapping[str, str]) -> str:
    """Return how many runs a mistake ended before they began, with the reasons and a run of each.

    `reasons` are by the name of the run. Of several with the same reason the last is named.

    >>> refused_sentence({"a": "data.sise: there is no such key", "b": "data.sise: there is no such key"})
    '2 runs ended by a mistake before they began: b and 1 more (data.sise: there is no such key)'
    """
    names: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        names.setdefault(reason, []).append(name)
    named = {reason: f"{each[-1]} and {len(each) - 1:,} more" for reason, each in names.items()}
    said = [f"{named[reason] if each[1:] else each[0]} ({reason})" for reason, each in names.items()]
    rest = sum(map(len, [*names.values()][_REASONS:]))
    end = f", and {rest:,} more, named in collect.html" if rest else ""
    many = counted(len(reasons), "run ended by a mistake before it", "runs ended by a mistake before they")
    return f"{many} began: {', '.join(said[:_REASONS])}{end}"


class Group(NamedTuple):
    """The runs of one data set on the page: its name, their places, columns, curves, and colours."""

    name: str
    places: list[int]
    columns: list[Column]
    plots: list[tuple[str, Markup]]
    colours: Mapping[str, str]


def write_runs_report(runs: Runs, path: Path) -> Path:
    """Write the page, and return its path."""
    folds = fold_table(runs.folds) if runs.folds else pd.DataFrame()
    page = render_page(
        "runs_page.html.j2",
        name=Path(runs.root).name or "Runs",
        root=runs.root,
        sort=runs.sort,
        cards=[*_cards(runs), *_fold_cards(runs.folds, folds)],
        groups=[_group(runs, name, places) for name, places in runs.groups],
        records=runs.records,
        searches=[(search, _search_plots(search)) for search in runs.searches],
        reports=[_link(run, path.parent) for run in runs.records],
        failures={run.name: run.cause for run in runs.records if run.cause},
        folds=fold_columns(folds) if runs.folds else [],
        num_folds=len(runs.folds),
        seeds=seed_columns(seed_table(runs.seeds)) if runs.seeds else [],
        num_seeds=len(runs.seeds),
        left_out=runs.left_out,
        refused=runs.refused,
        others=others_sentence(runs.num_others) if runs.num_others else "",
    )
    write_bytes(path, page)
    return path


def _link(run: RunRecord, folder: Path) -> str:
    """Return the URL of a run's own report, relative to a folder; "" if there is none."""
    return quote(os.path.relpath(run.report, folder.absolute())) if run.report else ""


def _group(runs: Runs, name: str, places: Sequence[int]) -> Group:
    records = [runs.records[place] for place in places]
    chosen = colours([run.name for run in records])
    return Group(name, list(places), runs.columns(places), _plots(records, chosen), chosen)


def _plots(records: Sequence[RunRecord], chosen: Mapping[str, str]) -> list[tuple[str, Markup]]:
    plots = []
    for score, title in _CURVES:
        measured = [run for run in records if score in run.metrics and run.metrics[score].notna().any()]
        if measured:
            curves = {run.name: run.metrics for run in measured}
            plots.append((title, svg_plot(runs_figure(curves, score, chosen), f"{title} over the epochs")))
    return plots


def _search_plots(search: SearchRecord) -> list[tuple[str, Markup]]:
    """Return the plots of a search: its history, and the importance of its keys once it is known."""
    history = svg_plot(history_figure(search), "Score of each trial, and the best so far")
    plots = [("Trials", history)]
    if search.importances:
        drawn = svg_plot(importance_figure(search), "Importance of each key")
        plots.append(("Importance", drawn))
    return plots


def _cards(runs: Runs) -> list[Card]:
    counts = Counter(status_words(runs.table))
    note = ", ".join(f"{count} {status}" for status, count in counts.items())
    cards = [Card("runs", "Runs", str(len(runs.records)), note)]
    scores = runs.table.get(runs.sort, pd.Series(dtype=float))
    # Runs may also be sorted by a text, such as a setting.
    if runs.sort in runs.table and pd.api.types.is_numeric_dtype(scores):
        best = [(name, places[0]) for name, places in runs.groups if pd.notna(scores.iloc[places[0]])]
        cards += [
            Card(
                "best",
                f"Best {runs.sort} {name}".strip(),
                score_text(runs.sort, scores.iloc[place]),
                _best(runs, place),
            )
            for name, place in best
        ]
    return cards


def _best(runs: Runs, place: int) -> str:
    """Return the name of a run, with the accuracy of the model that it reports."""
    name, accuracy = runs.records[place].name, runs.table.get("model/acc", pd.Series()).get(place)
    if runs.sort == "model/acc" or accuracy is None or pd.isna(accuracy):
        return name
    return f"{name}; its reported model: {score_text('model/acc', accuracy)}"


def _fold_cards(folds: Sequence[Folds], table: pd.DataFrame) -> list[Card]:
    return [
        Card("oof", title, score_text(name, value), f"{len(group.runs)} of {group.number} folds")
        for row, group in enumerate(folds)
        for name, title in _FOLD_TITLES.items()
        if name in table and (value := float(table[name].iloc[row])) == value
    ]
