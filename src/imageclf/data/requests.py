"""The requests of an epoch or an evaluation: which pictures, in which batches, seen how."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from imageclf import InputError
from imageclf.data.batch import Request
from imageclf.data.loading import Loading
from imageclf.data.sampler import (
    Rows,
    copy_numbers,
    epoch_order,
    even_chunks,
    num_batches,
    oversample,
    rank_batches,
)
from imageclf.data.sources.table import Table
from imageclf.schedule import Place, Schedule
from imageclf.schedule.size import PictureSize

Split = Literal["train", "valid", "test"]


class Rank(NamedTuple):
    """Which of the processes that train together this one is."""

    number: int = 0
    world_size: int = 1


@dataclass(frozen=True)
class Requests:
    """The requests of any epoch and split; every row of the table is assigned to a split."""

    table: Table
    loading: Loading
    schedule: Schedule
    seed: int

    def size_of(self, place: Place) -> PictureSize:
        """Return the size of the pictures at a place."""
        return place.size or self.loading.size

    def batch_size_of(self, place: Place) -> int:
        """Return the pictures of a step and process at a place."""
        return place.batch_size or self.loading.pictures_a_step

    def num_batches(self, place: Place, world_size: int) -> int:
        """Return the training batches of an epoch at a place.

        Raises:
            InputError: there are too few pictures for a single step.
        """
        batches = num_batches(self._num_rows, self.batch_size_of(place), world_size)
        if batches == 0:
            raise InputError(f"{self._num_rows} training pictures make no batch: give more pictures")
        return batches

    def training(self, epoch: int, rank: Rank, order_epoch: int, start: int = 0) -> Iterator[Request]:
        """Yield a rank's requests of an epoch, from its batch `start` on.

        `epoch` decides the views, and `order_epoch` the pictures and their order.
        """
        place = self.schedule.at(epoch)
        rows = self._epoch_rows(order_epoch)
        order = epoch_order(np.arange(len(rows)), self.seed, order_epoch)
        copies = copy_numbers(rows)
        shares = rank_batches(len(rows), self.batch_size_of(place), *rank)
        for batch, (chosen, weight, total) in enumerate(shares):
            # The shares before it cost next to nothing: they are slices, and no picture is read.
            if batch >= start:
                # Copies of a picture in an epoch are different views of it.
                picked = order[chosen]
                views = 1 + copies[picked] if place.phase.augment else np.zeros_like(picked)
                yield Request(rows[picked], views, epoch, self.size_of(place), weight, total)

    def evaluation(
        self, rows: Rows, size: PictureSize, views: tuple[int, ...], rank: Rank
    ) -> Iterator[Request]:
        """Yield a rank's requests for rows of the table, once per view.

        The views of a picture are next to each other, so that it is read once.
        """
        # A batch of views takes no more memory than one of training.
        step = max(1, self.loading.pictures_a_step // len(views))
        for chunk in even_chunks(rows, step, *rank):
            numbers = np.tile(np.array(views, dtype=np.int64), len(chunk))
            yield Request(np.repeat(chunk, len(views)), numbers, epoch=0, size=size)

    def _epoch_rows(self, epoch: int) -> Rows:
        rows = self.table.rows("train")
        strata = self.table.task.strata(self.table.labels[rows])
        return oversample(rows, strata, self.loading.oversample, self.seed, epoch)

    @cached_property
    def _num_rows(self) -> int:
        """Training pictures of any epoch, with their copies; counted once, as every step of a plan asks."""
        return len(self._epoch_rows(0))
