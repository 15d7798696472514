"""Inspect every picture of a data set, and find the problems that training would meet."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from rich.box import SIMPLE_HEAD
from rich.table import Table as RichTable

from imageclf.analysis.problems import HINTS, KINDS, count_kinds, find_problems, find_twins
from imageclf.analysis.sizes import crop_warning
from imageclf.configs import Plain, to_plain
from imageclf.data import PictureDataset, Request, Table
from imageclf.data.parallel import chunks, mapped, num_processes
from imageclf.data.pictures.arrays import shown
from imageclf.data.pictures.inspect import Inspection, inspect_picture
from imageclf.data.pictures.kinds import read_shown
from imageclf.data.pictures.pixels import Pixels
from imageclf.launch.one_process import check_here
from imageclf.model.backbone import expected_crop_pct
from imageclf.report.data_numbers import data_cards
from imageclf.report.data_page import DataAnalysis, write_data_report
from imageclf.report.plots.sheet import NUM_VIEWS, Sample
from imageclf.system.printable import cell, console, show
from imageclf.system.progress import track
from imageclf.training.parts.table import read_table
from imageclf.training.run_config import DataOptions, RunConfig, parse

_CHUNK = 16
# Pictures on the sheet, and pixels a side of a whole one.
_SAMPLES = 4
_WHOLE = 384


def run(cfg: DictConfig, folder: Path) -> None:
    """Write what is known of the data set of a config into a folder, and print a summary."""
    analysis, page = analyse_into(cfg, folder)
    terminal = console()
    terminal.print(summary_table(analysis))
    if analysis.warning:
        terminal.print(cell(analysis.warning), style="yellow")
    show(page)


def analyse_into(cfg: DictConfig, folder: Path) -> tuple[DataAnalysis, Path]:
    """Write what is known of the data set of a config into a folder, and return it and its page."""
    analysis = analyse(to_plain(cfg))
    return analysis, write_data_report(analysis, folder)


def analyse(plain: Plain) -> DataAnalysis:
    """Return the analysis of a config's data set; a picture that cannot be read is one of its problems.

    Raises:
        InputError: the data set does not fit the config, as in training, or this is a login node.
    """
    config = parse(plain, RunConfig)
    check_here(config, "imageclf-analyse")
    config.task.refuse("imageclf-analyse")
    loading = config.data.loading
    table = read_table(config.data, verify=False)
    ids, paths = table.ids, table.paths
    found = inspect_all(paths)
    twins = find_twins([each.pixels for each in found], [each.appearance for each in found])
    split = split_without_broken(table, config.data, [each.fault for each in found])
    pictures = picture_table(split, found)
    for column, rows in (("same_as", twins.same), ("like", twins.like)):
        pictures[column] = [ids[row] if row >= 0 else "" for row in rows]
    words = [", ".join(config.task.names_in([label])) for label in pictures["label"]]
    name = config.model.backbone
    crop_pct = (expected_crop_pct(name) if isinstance(name, str) else None) or 1.0
    return DataAnalysis(
        root=str(plain["data"].get("root") or ""),
        pictures=pictures,
        classes=table.classes,
        problems=find_problems(pictures, twins, loading.size),
        size=loading.size,
        warning=crop_warning(pictures, loading.resize, crop_pct, loading.size),
        samples=[
            draw_sample(paths[row], words[row], config, crop_pct, table.pixels)
            for row in sample_rows(pictures, config.task.names_in)
        ],
        config=OmegaConf.to_yaml({name: plain[name] for name in ("data", "transforms")}),
        task=config.task,
    )


def inspect_all(paths: Sequence[str]) -> list[Inspection]:
    """Inspect files in parallel, in the order of `paths`."""
    parts = chunks(len(paths), _CHUNK)
    with (
        mapped(partial(_inspect_part, paths=paths), parts, num_processes(paths)) as inspections,
        track("Reading pictures", len(paths)) as advance,
    ):
        found: list[Inspection] = []
        for part in inspections:
            found.extend(part)
            advance(len(part))
    return found


def _inspect_part(rows: range, paths: Sequence[str]) -> list[Inspection]:
    with warnings.catch_warnings():
        # Pillow's warnings name no file, and would break the progress bar.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        return [inspect_picture(paths[row]) for row in rows]


def split_without_broken(table: Table, data: DataOptions, faults: Sequence[str]) -> Table:
    """Return the table split as in a training that skips broken pictures, whose split is "".

    With data.on_error=raise there is no such training, and the table stays as it is.

    `faults` are those of all pictures, "" where there is none.
    """
    broken = [row for row, fault in enumerate(faults) if fault]
    if data.loading.on_error != "skip" or not broken:
        return table
    splits = np.full(len(table), "", dtype=object)
    sound = np.setdiff1d(np.arange(len(table)), broken)
    splits[sound] = data.splitting.apply(data.read().without(broken)).frame["split"]
    decided = pd.Series(splits, index=table.frame.index, dtype="str")
    return replace(table, frame=table.frame.assign(split=decided), groups=None)


def picture_table(table: Table, found: Sequence[Inspection]) -> pd.DataFrame:
    """Return the table with the columns of each picture's inspection, except its hashes."""
    about = pd.DataFrame(found, columns=Inspection._fields).drop(columns=["pixels", "appearance"])
    frame = pd.concat([table.frame.reset_index(drop=True), about], axis=1)
    return frame.rename(columns={"num_bytes": "bytes"})


def sample_rows(
    pictures: pd.DataFrame, names_in: Callable[[Sequence[str]], Sequence[str]] = list
) -> list[int]:
    """Return the rows of some readable pictures, one of each class, training pictures first.

    `names_in` is that of the task.
    """
    readable = (pictures["fault"] == "").to_numpy()
    is_training = (pictures["split"] == "train").to_numpy()
    rows = [*np.flatnonzero(readable & is_training), *np.flatnonzero(readable & ~is_training)]
    labels = pictures["label"].to_numpy(dtype=object)
    first: dict[str, int] = {}
    for row in rows:
        # A picture without any label stands for these.
        for name in names_in([labels[row]]) or [""]:
            first.setdefault(name, int(row))
    # Of many classes some that are spread over the list; a picture of several classes is shown once.
    chosen = list(dict.fromkeys(first.values()))
    places = np.unique(np.linspace(0, max(0, len(chosen) - 1), _SAMPLES).round().astype(int))
    return [chosen[place] for place in places] if chosen else []


def draw_sample(path: str, label: str, config: RunConfig, crop_pct: float, pixels: Pixels) -> Sample:
    """Return a picture whole, as in validation, and in augmented views as in training."""
    labels, loading = np.zeros(1, dtype=np.int64), config.data.loading
    dataset = PictureDataset(
        [path], labels, config.transforms, loading.resize, crop_pct, config.seed, pixels=pixels
    )
    rows, numbers = np.zeros(NUM_VIEWS, dtype=np.int64), np.arange(NUM_VIEWS)
    images = dataset[Request(rows, numbers, epoch=0, size=loading.size)].images
    assert images is not None, "a dataset of files returns pictures"
    whole = Image.fromarray(read_shown(path, at_least=_WHOLE))
    whole.thumbnail((_WHOLE, _WHOLE))
    # As one picture: views of 16 bits are stretched alike, so that augmented lighting is seen.
    views = shown(images.permute(0, 2, 3, 1).flatten(0, 1).numpy())
    return Sample(label, np.asarray(whole), views.reshape(NUM_VIEWS, -1, *views.shape[1:]))


def summary_table(analysis: DataAnalysis) -> RichTable:
    """Return the headline numbers and problems of a data set for the terminal."""
    table = RichTable(box=SIMPLE_HEAD, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for card in data_cards(analysis.pictures, analysis.balance, analysis.problems):
        table.add_row(*map(cell, (card.title, card.value, card.note)))
    for kind, count in count_kinds(analysis.problems).items():
        first = next(problem for problem in analysis.problems if problem.kind == kind)
        note = f"{analysis.pictures['id'].iat[first.row]}{', ...' if count > 1 else ''}"
        style = None if kind in HINTS else "yellow"
        table.add_row(*map(cell, (f"  {KINDS[kind].title}", f"{count:,}", note)), style=style)
    return table
