"""The LightningDataModule: asks the schedule what the current epoch looks like, and reads it."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Literal

import lightning as pl
import numpy as np
import torch
from torch import Tensor

from imageclf import InputError
from imageclf.data.batch import Batch, Request
from imageclf.data.dataset import PictureDataset
from imageclf.data.device_choice import DeviceStores
from imageclf.data.features import featured
from imageclf.data.loader import EpochLoader, RequestLoader
from imageclf.data.loading import Loading
from imageclf.data.pictures.caching import Caching
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
from imageclf.data.views.augmentation import Augmentation
from imageclf.schedule import Place, RunState, Schedule

Split = Literal["train", "valid", "test"]
FeatureSource = Callable[[Split, int], Tensor]


class ImageData(pl.LightningDataModule):
    """Training and validation batches of any epoch.

    Args:
        table: the pictures, every row assigned to a split.
        loading: how they become batches.
        schedule: what holds at an epoch.
        augmentation: of the phases that augment.
        crop_pct: share of the shorter side that the plain view's crop keeps.
        seed: of order and draws.
        caching: what is kept between runs.
        state: of the run; it says where to start. None: at the first batch.
    """

    def __init__(
        self,
        table: Table,
        loading: Loading,
        schedule: Schedule,
        augmentation: Augmentation,
        crop_pct: float,
        seed: int,
        caching: Caching,
        state: RunState | None = None,
    ) -> None:
        super().__init__()
        self.table = table
        self.loading = loading
        self.schedule = schedule
        self.seed = seed
        self._state = state or RunState()
        # Without one a phase with `precompute` reads pictures.
        self._features: FeatureSource | None = None
        self.caching = caching
        self.crop_pct = crop_pct
        self._labels = table.labels
        self._dataset = PictureDataset(
            table.paths, self._labels, augmentation, loading.resize, crop_pct, seed
        )
        # Made at their first use, when device and stores are known.
        self._loaders: dict[str, RequestLoader] = {}
        self._on_device = DeviceStores(self._dataset)

    def setup(self, stage: str) -> None:
        """Shrink the pictures for every size of the schedule, unless an earlier run has done so."""
        sides = {size: self.side_of(size) for size in sorted(self.sizes)}
        # Every rank asks: the first to come builds, the others wait for it.
        self._dataset.stores = self.caching.stores(self.table.paths, sides, self.loading.resize)
        self._on_device.choose(self.loading.device_store, sides, self._device)

    def use_features(self, source: FeatureSource) -> None:
        """Take the features of phases with `precompute` from (split, size) -> `[N, F]`, in table order."""
        self._features = source

    def teardown(self, stage: str) -> None:
        """End the workers of a run that is done."""
        self.close()

    def on_exception(self, exception: BaseException) -> None:
        """End the workers of a run that failed: the process may go on with the next one."""
        self.close()

    def close(self) -> None:
        """End all workers, and give back the device's memory."""
        for loader in self._loaders.values():
            loader.close()
        self._loaders.clear()
        self._on_device.release()

    @property
    def num_workers(self) -> int:
        """Return the processes that read training pictures, and as many for evaluation."""
        if all(self.is_on_device(size) for size in self.sizes):
            return 0
        stores = self._dataset.stores
        decodes = any(size not in stores or stores[size].form != "raw" for size in self.sizes)
        return self.loading.workers(len(self.table), self._device.type != "cpu", decodes)

    def side_of(self, size: int) -> int:
        """Return the pixels a side that pictures are shrunk to for views of a size."""
        return self._dataset.side_of(size)

    def is_lossy(self, size: int) -> bool:
        """Return whether views of a size are made from pictures that were stored as JPEGs."""
        stored = self._dataset.stores.get(size)
        return stored is not None and stored.form == "jpeg"

    def is_on_device(self, size: int) -> bool:
        """Return whether views of a size are made on the device that trains."""
        return self._on_device.serves(size)

    @property
    def sizes(self) -> set[int]:
        """Return the pixels a side that the run uses."""
        return self.schedule.sizes(self.loading.size)

    @property
    def has_validation(self) -> bool:
        """Whether any picture is held out."""
        return len(self.table.rows("valid")) > 0

    def size_of(self, place: Place) -> int:
        """Return the pixels a side at a place."""
        return place.size or self.loading.size

    @property
    def is_complete(self) -> bool:
        """Whether the run goes on from the end of its schedule: no batch is left."""
        return self._state.start[0] >= self.schedule.epochs

    @property
    def last_epoch(self) -> int:
        """The epoch that the run ends with: the schedule's last one, unless it was stopped before."""
        done = self.schedule.epochs
        if self.trainer is not None and not self.is_complete:
            done = self.trainer.current_epoch
        return min(max(done, 1), self.schedule.epochs) - 1

    @property
    def last_size(self) -> int:
        """The pixels a side that the run ends with."""
        return self.size_of(self.schedule.at(self.last_epoch))

    def batch_size_of(self, place: Place) -> int:
        """Return the pictures a step and process at a place."""
        return place.batch_size or self.loading.batch_size

    def num_batches(self, place: Place, world_size: int = 1) -> int:
        """Return the training batches of an epoch at a place.

        Raises:
            InputError: there are too few pictures for a single step.
        """
        count = self._num_rows
        batches = num_batches(count, self.batch_size_of(place), world_size)
        if batches == 0:
            raise InputError(f"{count} training pictures make no batch: give more pictures")
        return batches

    def train_dataloader(self) -> EpochLoader:
        """Return the loader of every epoch; the Trainer asks before each of them."""
        return EpochLoader(self._train_batches, lambda: self.num_batches(self._place(), self._world()[1]))

    def val_dataloader(self) -> EpochLoader:
        """Return the loader of every validation."""
        return EpochLoader(self._valid_batches, self._num_valid_batches)

    def training_requests(self, epoch: int, start: int = 0) -> Iterator[Request]:
        """Yield this rank's requests of an epoch, from its batch `start` on."""
        place = self.schedule.at(epoch)
        rank, world_size = self._world()
        # Overfitting takes the same pictures in every epoch.
        drawn = 0 if getattr(self.trainer, "overfit_batches", 0) else epoch
        rows = self._epoch_rows(drawn)
        copies = copy_numbers(rows)
        order = epoch_order(np.arange(len(rows)), self.seed, drawn)
        shares = rank_batches(len(rows), self.batch_size_of(place), rank, world_size)
        for batch, (chosen, weight, total) in enumerate(shares):
            if batch >= start:
                # Copies of a picture in an epoch are different views of it.
                picked = order[chosen]
                views = 1 + copies[picked] if place.phase.augment else np.zeros_like(picked)
                yield Request(rows[picked], views, epoch, self.size_of(place), weight, total)

    def evaluation_requests(
        self, split: Split, size: int, views: tuple[int, ...] = (0,), only: Rows | None = None
    ) -> Iterator[Request]:
        """Yield this rank's requests for the pictures of a split, once per view.

        The views of a picture come next to each other, so it is read once.

        Args:
            split: train, valid or test.
            size: pixels a side.
            views: 0 is the picture as it is, those above are drawn, those below are fixed.
            only: rows of the split to look at; None looks at all of them.
        """
        rank, world_size = self._world()
        rows_wanted = self.table.rows(split) if only is None else only
        step = max(1, self.loading.batch_size // len(views))
        for rows in even_chunks(rows_wanted, step, rank, world_size):
            repeated = np.tile(np.array(views, dtype=np.int64), len(rows))
            yield Request(np.repeat(rows, len(views)), repeated, epoch=0, size=size)

    def read(self, requests: Iterator[Request]) -> Iterator[Batch]:
        """Yield the batches of any requests, beside whatever the Trainer iterates."""
        yield from self._on_device.answer(requests, self._loader("evaluation").read)

    def training_batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Yield this rank's training batches of an epoch, through the loader of evaluation."""
        yield from self._batches(self._loader("evaluation"), epoch, start)

    def _loader(self, use: Literal["train", "evaluation"]) -> RequestLoader:
        """Return the loader of training or of evaluation, which lives as long as the run."""
        if use not in self._loaders:
            places = self.schedule.places
            largest = max(3 * self.batch_size_of(place) * self.size_of(place) ** 2 for place in places)
            pinned = self._device.type == "cuda"
            self._loaders[use] = RequestLoader(self._dataset, self.num_workers, largest, pinned)
        return self._loaders[use]

    def _train_batches(self) -> Iterator[Batch]:
        epoch = self._epoch()
        first_epoch, first_batch = self._state.start
        start = first_batch if epoch == first_epoch else 0
        yield from self._batches(self._loader("train"), epoch, start)

    def _batches(self, loader: RequestLoader, epoch: int, start: int) -> Iterator[Batch]:
        requests = self.training_requests(epoch, start)
        yield from self._phase_batches("train", self.schedule.at(epoch), loader, requests)

    def _valid_batches(self) -> Iterator[Batch]:
        place = self._place()
        requests = self.evaluation_requests("valid", self.size_of(place))
        yield from self._phase_batches("valid", place, self._loader("evaluation"), requests)

    def _phase_batches(
        self, split: Split, place: Place, loader: RequestLoader, requests: Iterator[Request]
    ) -> Iterator[Batch]:
        if not place.phase.precompute or self._features is None:
            return self._on_device.answer(requests, loader.read)
        features = self._features(split, self.size_of(place))
        return featured(features, self.table.rows(split), self._labels, requests, self._device)

    def _epoch_rows(self, epoch: int) -> Rows:
        rows = self.table.rows("train")
        return oversample(rows, self._labels[rows], self.loading.oversample, self.seed, epoch)

    @cached_property
    def _num_rows(self) -> int:
        """Training pictures of any epoch, copies among them; counted once, as every step of a plan asks."""
        return len(self._epoch_rows(0))

    def _num_valid_batches(self) -> int:
        rank, world_size = self._world()
        rows = self.table.rows("valid")
        return sum(1 for _ in even_chunks(rows, self.loading.batch_size, rank, world_size))

    def _epoch(self) -> int:
        return min(self.trainer.current_epoch, self.schedule.epochs - 1) if self.trainer else 0

    def _place(self) -> Place:
        return self.schedule.at(self._epoch())

    @property
    def _device(self) -> torch.device:
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")

    def _world(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
