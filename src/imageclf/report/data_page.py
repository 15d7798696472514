"""The analysis of a data set as files: tables, plots and a page."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from imageclf.analysis.balance import SPLITS, class_balance
from imageclf.analysis.problems import HINTS, Problem, problem_table
from imageclf.analysis.sizes import kind_rows, num_enlarged, size_rows
from imageclf.report.data_numbers import data_cards, data_sentence
from imageclf.report.galleries import common_folder, problem_galleries
from imageclf.report.page import fluid_plot, pixels, render_page
from imageclf.report.plots.balance_plot import balance_figure
from imageclf.report.plots.sheet import Sample, sheet_figure
from imageclf.report.plots.sizes_plot import sizes_figure
from imageclf.report.plots.style import save_figure
from imageclf.schedule.size import PictureSize
from imageclf.system.cells import without_formulas, write_csv
from imageclf.system.files import write_bytes
from imageclf.tasks import MULTICLASS, Task

_FILE_WIDTH = 10.8  # inches
PICTURE_COLUMNS = (
    *("id", "path", "label", "split", "width", "height", "bytes", "format", "mode", "frames", "fault"),
    *("same_as", "like"),
)


@dataclass(frozen=True)
class DataAnalysis:
    """What was found out about a data set.

    Args:
        root: folder of the data set, as given.
        pictures: a row per file, with `PICTURE_COLUMNS`; sizes in pixels, 0 if the file is not a picture.
        classes: names, in class order.
        problems: of the pictures, by row.
        size: of the pictures in training.
        warning: about what a centre crop cuts off, or "".
        samples: some pictures with their views; none if none can be read.
        config: the data and transforms nodes, as YAML.
        task: what a label is.
    """

    root: str
    pictures: pd.DataFrame
    classes: Sequence[str]
    problems: Sequence[Problem]
    size: PictureSize
    warning: str
    samples: Sequence[Sample]
    config: str
    task: Task = MULTICLASS

    @cached_property
    def balance(self) -> pd.DataFrame:
        """Return a row per class, see `class_balance`."""
        return class_balance(self.pictures, self.classes, self.task.names_in)


def write_data_report(analysis: DataAnalysis, folder: Path) -> Path:
    """Write three CSVs, up to three PNGs and analysis.html, and return the path of the page."""
    drawings = _drawings(analysis)
    for name, draw in drawings.items():
        save_figure(draw(_FILE_WIDTH), folder / f"{name}.png")
    if analysis.samples:
        save_figure(sheet_figure(analysis.samples), folder / "augmented.png")
    pictures = analysis.pictures[list(PICTURE_COLUMNS)]
    tables = {
        "pictures": pictures,
        "classes": analysis.balance.round({"share": 6}),
        "problems": problem_table(analysis.problems, pictures["id"].tolist(), pictures["path"].tolist()),
    }
    for name, table in tables.items():
        write_csv(without_formulas(table), folder / f"{name}.csv", quoting=csv.QUOTE_NONNUMERIC)
    target = folder / "analysis.html"
    write_bytes(target, _page(analysis, drawings))
    return target


def _drawings(analysis: DataAnalysis) -> dict[str, Callable[[float], Figure]]:
    """Return what draws each figure for a width in inches."""
    drawings: dict[str, Callable[[float], Figure]] = {"balance": partial(balance_figure, analysis.balance)}
    if size_rows(analysis.pictures):
        drawings["sizes"] = partial(sizes_figure, analysis.pictures, analysis.size)
    return drawings


def _page(analysis: DataAnalysis, drawings: dict[str, Callable[[float], Figure]]) -> bytes:
    pictures, balance, paths = analysis.pictures, analysis.balance, analysis.pictures["path"].tolist()
    descriptions = {
        "balance": "Pictures of each class, by split",
        "sizes": "Histograms of width, height and shorter side",
    }
    plots = {name: fluid_plot(draw, descriptions[name]) for name, draw in drawings.items()}
    folder = common_folder(paths)
    galleries = problem_galleries(analysis.problems, paths)
    return render_page(
        "data_page.html.j2",
        name=Path(analysis.root or folder).name or "Data set",
        folder=analysis.root or folder,
        summary=data_sentence(pictures, balance),
        warning=analysis.warning,
        cards=data_cards(pictures, balance, analysis.problems),
        plots=plots,
        samples=analysis.samples,
        splits=[split for split in SPLITS if balance[split].any()],
        classes=balance.to_dict("records"),
        sizes=[
            (row.name, pixels(row.smallest), pixels(row.median), pixels(row.largest))
            for row in size_rows(pictures)
        ],
        kinds=kind_rows(pictures),
        size=analysis.size,
        enlarged=num_enlarged(pictures, analysis.size),
        galleries=galleries,
        faults=[each for each in galleries if each.kind not in HINTS],
        hints=[each for each in galleries if each.kind in HINTS],
        config=analysis.config,
    )
