"""Find the largest batch that fits into memory in the most demanding phase."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

import lightning as pl
import torch
from lightning.pytorch.utilities.memory import garbage_collection_cuda, is_oom_error
from omegaconf import DictConfig

from imageclf import InputError
from imageclf.callbacks.lr_finder import trial_step
from imageclf.configs import to_plain
from imageclf.data import Batch, ImageData
from imageclf.data.device_choice import is_asked, likely_form, memory_obstacle, obstacle_of
from imageclf.data.pictures.store import raw_bytes
from imageclf.launch.one_process import check_here, in_one_process
from imageclf.model.groups import freeze_to
from imageclf.schedule import Place, Schedule
from imageclf.schedule.size import PictureSize, edges
from imageclf.training.build import build_callbacks, build_parts, build_trainer
from imageclf.training.check_values import required_callbacks
from imageclf.training.logs import log_to_file
from imageclf.training.parts.table import read_table
from imageclf.training.run_config import DataOptions, RunConfig, parse

log = logging.getLogger(__name__)

# The first step allocates the optimizer's state, the second has all that training has.
_STEPS = 2


@dataclass(frozen=True, kw_only=True)
class BatchSizeConfig(RunConfig):
    """What imageclf-batch-size takes.

    Args:
        limit: the largest number of pictures that is tried.
    """

    limit: int


def run(cfg: DictConfig, folder: Path) -> float:
    """Print the largest batch as an override, and return it."""
    config = parse(to_plain(cfg), BatchSizeConfig)
    log_to_file(folder)
    found = find_batch_size(config, folder)
    print(f"data.batch_size={found}")
    return float(found)


def largest_that_fits(fits: Callable[[int], bool], limit: int) -> int:
    """Return the largest power of two up to a limit that fits, or 0 if not even 1 does.

    Where a batch does not fit, no larger one does.

    >>> largest_that_fits(lambda number: number <= 50, limit=1024)
    32
    """
    found = 0
    while max(1, 2 * found) <= limit and fits(max(1, 2 * found)):
        found = max(1, 2 * found)
    return found


def demanding(schedule: Schedule, size: PictureSize) -> dict[str, Place]:
    """Return a place for each pair of picture size and trainable groups that trains on pictures.

    Pictures have `size` where a phase names none.
    """
    places = [place for place in schedule.places if not place.phase.precompute]
    # In reverse: the first place of each pair stays.
    return {f"{place.size or size} px, from {place.phase.unfreeze_to}": place for place in reversed(places)}


def find_batch_size(config: BatchSizeConfig, folder: Path) -> int:
    """Return the largest number of pictures a step and process that every phase can train on.

    The Trainer writes its files into the folder.

    Raises:
        InputError: no phase trains on pictures, not even one picture fits, or this process is one of several
            or on a login node.
    """
    check_here(config, "imageclf-batch-size")
    config = in_one_process(config, whole_batches=False)
    pl.seed_everything(config.seed, verbose=False)
    table, taken = read_table(config.data, verify=False), partial(taken_by_pictures, config)
    config = replace(config, data=_read_from_files(config.data))
    parts = build_parts(config, table)
    trial = _Trial(parts.schedule, config.limit, partial(taken, parts.data))
    needed = {name: config.callbacks[name] for name in required_callbacks()}
    config = replace(config, callbacks=needed)
    callbacks = build_callbacks(config, parts.state, folder, ends=False)
    trainer = build_trainer(config.trainer, 1, folder, [*callbacks, trial])
    trainer.fit(parts.module, datamodule=parts.data)
    if min(trial.found.values()) == 0:
        raise InputError(
            "not even one picture fits into the memory: give a smaller data.size, or another model.backbone"
        )
    return min(trial.found.values())


def _read_from_files(data: DataOptions) -> DataOptions:
    """Keep pictures nowhere: what is searched is the memory of a step, however its pictures are read."""
    return replace(
        data, loading=replace(data.loading, device_store="off"), caching=replace(data.caching, cache="none")
    )


def taken_by_pictures(config: RunConfig, data: ImageData, size: PictureSize, device: torch.device) -> int:
    """Return the bytes of a device that the pictures of a size will take in training; 0: they stay off it."""
    obstacle = obstacle_of(likely_form(config.data.caching.cache), config.transforms, data.table.pixels.bits)
    if obstacle is not None or not is_asked(config.data.loading.device_store, device):
        return 0
    num_bytes = raw_bytes(data.table.paths, data.side_of(size), data.loading.resize, data.table.pixels)
    return num_bytes if memory_obstacle(num_bytes, size, device) is None else 0


class _Trial(pl.Callback):
    """Try batches before the first real one, and end the fit.

    `taken` returns what the pictures of a size take of a device's memory, in bytes.
    """

    def __init__(
        self, schedule: Schedule, limit: int, taken: Callable[[PictureSize, torch.device], int]
    ) -> None:
        self._schedule = schedule
        self._limit = limit
        self._taken = taken
        self.found: dict[str, int] = {}

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Search for each demanding place, then ask the Trainer to stop."""
        data: ImageData = trainer.datamodule  # type: ignore[attr-defined]
        places = demanding(self._schedule, data.loading.size)
        if not places:
            raise InputError("every phase trains on cached features: any data.batch_size fits")
        for name, place in places.items():
            first = place.phase.first_trainable(pl_module.groups.names)
            freeze_to(pl_module.model, pl_module.groups, first, train_bn=place.phase.bn == "train")
            size, device = data.size_of(place), trainer.strategy.root_device
            pictures = torch.empty(self._taken(size, device), dtype=torch.uint8, device=device)
            fits = partial(_fits, trainer, pl_module, size)
            self.found[name] = largest_that_fits(fits, self._limit)
            # Until here they took up their memory.
            del pictures
            log.info("%s: %d pictures", name, self.found[name])
        trainer.should_stop = True


def _fits(trainer: pl.Trainer, module: Any, size: PictureSize, number: int) -> bool:
    """Return whether training steps on so many random pictures fit into the memory."""
    batches = _random_batches(trainer, module, size, number)
    try:
        for _ in range(_STEPS):
            trial_step(trainer, module, trainer.optimizers[0], batches)
    except RuntimeError as error:
        if not _is_out_of_memory(error):
            raise
        return False
    finally:
        # The next trial starts with what this one took.
        trainer.optimizers[0].zero_grad()
        garbage_collection_cuda()
    return True


def _is_out_of_memory(error: RuntimeError) -> bool:
    # The only message of oneDNN when it has no memory for a convolution on the CPU.
    on_cpu = "could not create a primitive" in str(error)
    return isinstance(error, torch.OutOfMemoryError) or is_oom_error(error) or on_cpu


def _random_batches(trainer: pl.Trainer, module: Any, size: PictureSize, number: int) -> Iterator[Batch]:
    images = torch.randint(0, 256, (number, module.model.channels, *edges(size))).to(module.model.dtype)
    labels = torch.from_numpy(module.task.targets(module.classes[:1] * number, module.classes))
    rows = torch.zeros(number, dtype=torch.long)
    batch = Batch(images.contiguous(memory_format=torch.channels_last), None, labels, rows)
    return repeat(trainer.strategy.batch_to_device(batch))
