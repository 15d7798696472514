"""Read a run's table of pictures once; afterwards every rank and every restart reads split.csv."""

import logging
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from imageclf import InputError
from imageclf.data import Caching, Loading, Table, describe, unreadable
from imageclf.data.pictures.kinds import choose_pixels, measured
from imageclf.data.views.geometry import stored_side
from imageclf.model.backbone import expected_crop_pct
from imageclf.schedule.size import PictureSize, by_pixels
from imageclf.system.world import WAIT, is_first_task
from imageclf.training.parts.pixels import load_pixels, save_pixels
from imageclf.training.run_config import DataOptions, RunConfig

log = logging.getLogger(__name__)


def read_table(
    data: DataOptions, verify: bool = True, sides: Mapping[PictureSize, PictureSize] = MappingProxyType({})
) -> Table:
    """Return the pictures of a data set, checked and split, and log what they are.

    With `verify` every picture is decoded once, and mean and spread are measured where they are needed;
    `sides` are those of `without_broken`.

    Raises:
        InputError: the folder or CSV does not match the config, or a picture cannot be read.
    """
    table = data.read()
    table = replace(table, pixels=choose_pixels(data.loading.channels, data.loading.bits, table.paths))
    if verify:
        table = without_broken(table, data.loading, data.caching, sides)
    split = data.splitting.apply(table)
    log.info(summary(split, data, is_given=not len(table.rows(""))))
    if not verify:
        return split
    paths = split.frame["path"].iloc[split.rows("train")].tolist()
    return replace(split, pixels=measured(split.pixels, paths))


def summary(table: Table, data: DataOptions, is_given: bool) -> str:
    """Return in a sentence how many pictures there are, where they come from, and how they are split.

    `is_given` says whether the source decides what is held out.
    """
    train, valid, test = (len(table.rows(split)) for split in ("train", "valid", "test"))
    kind = table.task.kind
    counts = f"{kind.words(table.classes)}, {train:,} training and {valid:,} validation pictures"
    # A source of one's own needs only to read.
    where = getattr(data.source, "where", f"from {type(data.source).__name__}")
    is_auto = data.loading.batch_size == "auto"
    batches = [f"batches of {data.loading.for_training(train).batch_size}"] if is_auto else []
    parts = [counts, *([f"{test:,} to predict"] if test else []), where]
    return ", ".join([*parts, *([] if is_given else [data.splitting.words(kind.share)]), *batches])


def table_of_run(run_dir: Path, config: RunConfig) -> Table:
    """Return the run's table; the first time it is written to split.csv, and the pictures are shrunk."""
    path = run_dir / "split.csv"
    # The folder may change while a run waits to go on; its pictures may not.
    if not path.exists():
        if is_first_task(os.environ):
            table = read_table(config.data, sides=stored_sides(config))
            # The others wait for the table.
            save_pixels(table.pixels, run_dir)
            table.save(path)
        else:
            _wait_for(path)
    table = Table.load(path, config.data.class_list.order, config.task)
    return replace(table, pixels=load_pixels(run_dir))


def check_held_out(table: Table, ranks: int) -> None:
    """Refuse fewer validation pictures than ranks: some ranks would have none."""
    held_out = len(table.rows("valid"))
    if 0 < held_out < ranks:
        raise InputError(
            f"{held_out} validation pictures for {ranks} ranks: hold out more, or take fewer ranks"
        )


def _wait_for(path: Path) -> None:
    """Wait for the first task; where it fails, its launcher ends this one."""
    deadline = time.monotonic() + WAIT.total_seconds()
    while not path.exists():
        if time.monotonic() > deadline:
            raise InputError(f"the first task has not written {path} within {WAIT}")
        time.sleep(0.2)


def without_broken(
    table: Table,
    loading: Loading,
    caching: Caching,
    sides: Mapping[PictureSize, PictureSize] = MappingProxyType({}),
) -> Table:
    """Decode every picture once; raise for those that do not decode, or leave them out.

    `loading.on_error` says which of the two. `sides` are those of the shrunk pictures that the run will
    want, by size, as `stored_side` gives them: they are made from the same decoding, unless pictures may
    be left out, since which ones is known only after it.

    Raises:
        InputError: pictures cannot be read and `on_error` is raise.
    """
    raises = loading.on_error == "raise"
    faults = unreadable(table.paths, caching, sides if raises else {}, loading.resize, table.pixels)
    if not faults:
        return table
    sentence = describe(list(faults.values()))
    if raises:
        which = "it" if len(faults) == 1 else "them"
        raise InputError(f"{sentence}; repair or remove {which}, or set data.on_error=skip")
    which = "it is" if len(faults) == 1 else "they are"
    log.warning("%s; %s left out (data.on_error=skip)", sentence, which)
    return table.without(faults)


def stored_sides(config: RunConfig) -> dict[PictureSize, PictureSize]:
    """Return the size of the shrunk pictures for each size of a run, before its model is built.

    Nothing where only the built model can tell.
    """
    name = config.model.backbone
    crop_pct = expected_crop_pct(name) if isinstance(name, str) else None
    if crop_pct is None:
        return {}
    sizes = by_pixels(config.schedule.sizes(config.data.loading.size))
    zoom, resize = config.transforms.max_zoom, config.data.loading.resize
    return {size: stored_side(size, resize, zoom, crop_pct) for size in sizes}
