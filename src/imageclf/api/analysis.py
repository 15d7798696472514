"""Analyse a data set from Python."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from imageclf.analysis.problems import problem_table
from imageclf.api.calling import Override, arguments, process_as_found
from imageclf.api.page import Page
from imageclf.api.pictures import AnyPath
from imageclf.commands.analyse import analyse_into
from imageclf.configs.called import call
from imageclf.report.data_numbers import data_sentence
from imageclf.report.data_page import PICTURE_COLUMNS
from imageclf.system.printable import printable
from imageclf.system.words import counted
from imageclf.training.logs import logged


@dataclass(frozen=True, eq=False, repr=False)
class Analysis:
    """What is known of a data set before a training.

    Args:
        pictures: a row per file: id, path, label, split, width, height, bytes, format, mode, frames, fault,
            and the ids of the pictures that it repeats (same_as) or looks like (like), else "".
        classes: a row per class: label, its pictures in train, valid and test, and its share, 0 to 1.
        problems: a row per problem, as problems.csv has it.
        warning: about what a crop cuts off the pictures, or "".
        page: analysis.html; the files beside it hold the same tables and plots.
    """

    pictures: pd.DataFrame
    classes: pd.DataFrame
    problems: pd.DataFrame
    warning: str
    page: Page

    def __repr__(self) -> str:
        problems = counted(len(self.problems), "problem")
        return printable(f"<Analysis: {data_sentence(self.pictures, self.classes)}, {problems}>")

    def _repr_html_(self) -> str:
        return self.page._repr_html_()


def analyse(data: AnyPath | None = None, *overrides: Override, **values: object) -> Analysis:
    """Look at every picture of a data set as imageclf-analyse does, and return what was found.

    Args:
        data: a folder of pictures, a CSV, or an option of `conf/data`; None: the demo.
        overrides: as of `train`.
        values: as of `train`, such as transforms="top_down".

    Raises:
        InputError: the data set does not fit the config, in the words of the command.
    """
    given = {} if data is None else {"data": data}
    with process_as_found():
        return call("analyse", arguments(overrides, given | values), _analyse)


def _analyse(cfg: DictConfig, folder: Path) -> Analysis:
    with logged(None):
        found, page = analyse_into(cfg, folder)
    pictures = found.pictures[list(PICTURE_COLUMNS)]
    ids, paths = pictures["id"].tolist(), pictures["path"].tolist()
    problems = problem_table(found.problems, ids, paths)
    return Analysis(pictures, found.balance, problems, found.warning, Page(page))
