"""The LightningDataModule: the batches of whatever the schedule says of the current epoch."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import lightning as pl
import torch
from torch import Tensor

from imageclf.data.batch import Batch, Request
from imageclf.data.dataset import PictureDataset
from imageclf.data.device_choice import DeviceStores
from imageclf.data.features import featured
from imageclf.data.loader import EpochLoader, RequestLoader
from imageclf.data.loading import Loading
from imageclf.data.pictures.caching import Caching
from imageclf.data.pictures.store import Shrunk
from imageclf.data.requests import Rank, Requests, Split
from imageclf.data.sampler import Rows, even_chunks
from imageclf.data.sources.table import Table
from imageclf.data.views.augmentation import Augmentation
from imageclf.schedule import Place, RunState, Schedule
from imageclf.schedule.size import PictureSize, by_pixels, num_pixels

FeatureSource = Callable[[Split, PictureSize], Tensor]


class ImageData(pl.LightningDataModule):
    """Training and validation batches of any epoch.

    Args:
        table: the pictures, every row assigned to a split.
        loading: how they become batches.
        schedule: what holds at an epoch.
        augmentation: of the phases that augment.
        crop_pct: share that the plain view's crop keeps of the side that limits it.
        seed: of order and draws.
        caching: what is kept between runs.
        state: of the run; it says where to start. None: at the first batch.
        shrunk: the pictures of the table, in memory and for views of one size; None: they are files.
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
        shrunk: Sequence[Shrunk] | None = None,
    ) -> None:
        super().__init__()
        self.table = table
        loading = loading.for_training(len(table.rows("train")))
        self.loading = loading
        self.schedule = schedule
        self.caching = caching
        self.crop_pct = crop_pct
        self._state = state or RunState()
        # Without one a phase with `precompute` reads pictures.
        self._features: FeatureSource | None = None
        self._requests = Requests(table, loading, schedule, seed)
        self._dataset = PictureDataset(
            table.paths, table.labels, augmentation, loading.resize, crop_pct, seed, shrunk, table.pixels
        )
        # Made at their first use, when device and stores are known.
        self._loaders: dict[str, RequestLoader] = {}
        self._on_device = DeviceStores(self._dataset)

    def setup(self, stage: str) -> None:
        """Shrink the pictures for every size of the schedule, unless an earlier run has done so."""
        sides = {size: self.side_of(size) for size in by_pixels(self.sizes)}
        # Every rank asks: the first to come builds, the others wait for it.
        self._dataset.stores = self.caching.stores(
            self.table.paths, sides, self.loading.resize, self.table.pixels
        )
        self._on_device.choose(self.loading.device_store, sides, self._device)

    def use_features(self, source: FeatureSource) -> None:
        """Take the features of phases with `precompute` from (split, size) -> `[N, F]`, in table order."""
        self._features = source

    def teardown(self, stage: str) -> None:
        """End the workers of a finished run."""
        self.close()

    def on_exception(self, exception: BaseException) -> None:
        """End the workers of a failed run: the process may continue with the next one."""
        self.close()

    def close(self) -> None:
        """End all workers, and free the device's memory."""
        for loader in self._loaders.values():
            loader.close()
        self._loaders.clear()
        self._on_device.release()

    @property
    def num_workers(self) -> int:
        """Return the processes that read training pictures, and as many for evaluation."""
        # The device makes the views itself: nothing is left to read.
        if all(self.is_on_device(size) for size in self.sizes):
            return 0
        stores = self._dataset.stores
        decodes = any(size not in stores or stores[size].form != "raw" for size in self.sizes)
        return self.loading.workers(len(self.table), self._device.type != "cpu", decodes)

    def side_of(self, size: PictureSize) -> PictureSize:
        """Return the size that pictures are shrunk to for views of a size."""
        return self._dataset.side_of(size)

    def is_lossy(self, size: PictureSize) -> bool:
        """Return whether views of a size are made from pictures that were stored as JPEGs."""
        stored = self._dataset.stores.get(size)
        return stored is not None and stored.form == "jpeg"

    def is_on_device(self, size: PictureSize) -> bool:
        """Return whether views of a size are made on the device that trains."""
        return self._on_device.serves(size)

    @property
    def sizes(self) -> set[PictureSize]:
        """Return the picture sizes that the run uses."""
        return self.schedule.sizes(self.loading.size)

    @property
    def has_validation(self) -> bool:
        """Whether any picture is held out."""
        return len(self.table.rows("valid")) > 0

    @property
    def is_complete(self) -> bool:
        """Whether the run continues from the end of its schedule: no batch is left."""
        return self._state.start[0] >= self.schedule.epochs

    @property
    def last_epoch(self) -> int:
        """The epoch that the run ends with: the schedule's last one, unless it was stopped before."""
        done = self.schedule.epochs
        if self.trainer is not None and not self.is_complete:
            done = self.trainer.current_epoch
        return min(max(done, 1), self.schedule.epochs) - 1

    @property
    def last_size(self) -> PictureSize:
        """The picture size that the run ends with."""
        return self.size_of(self.schedule.at(self.last_epoch))

    def size_of(self, place: Place) -> PictureSize:
        """Return the size of the pictures at a place."""
        return self._requests.size_of(place)

    def num_batches(self, place: Place, world_size: int = 1) -> int:
        """Return the training batches of an epoch at a place.

        Raises:
            InputError: there are too few pictures for a single step.
        """
        return self._requests.num_batches(place, world_size)

    def train_dataloader(self) -> EpochLoader:
        """Return the loader of every epoch; the Trainer asks before each of them."""
        return EpochLoader(
            self._train_batches, lambda: self.num_batches(self._place(), self._rank().world_size)
        )

    def val_dataloader(self) -> EpochLoader:
        """Return the loader of every validation."""
        return EpochLoader(self._valid_batches, self._num_valid_batches)

    def training_requests(self, epoch: int, start: int = 0) -> Iterator[Request]:
        """Return this rank's requests of an epoch, from its batch `start` on."""
        # Overfitting takes the same pictures in every epoch.
        order_epoch = 0 if getattr(self.trainer, "overfit_batches", 0) else epoch
        return self._requests.training(epoch, self._rank(), order_epoch, start)

    def evaluation_requests(
        self, split: Split, size: PictureSize, views: tuple[int, ...] = (0,), only: Rows | None = None
    ) -> Iterator[Request]:
        """Return this rank's requests for the pictures of a split, or `only` some rows, once per view.

        A view 0 is the picture as it is, those above are drawn, those below are fixed.
        """
        rows = self.table.rows(split) if only is None else only
        return self._requests.evaluation(rows, size, views, self._rank())

    def read(self, requests: Iterator[Request]) -> Iterator[Batch]:
        """Yield the batches of any requests, independently of what the Trainer iterates."""
        yield from self._on_device.answer(requests, self._loader("evaluation").read)

    def training_batches(self, epoch: int) -> Iterator[Batch]:
        """Yield this rank's training batches of an epoch, through the loader of evaluation."""
        yield from self._epoch_batches(self._loader("evaluation"), epoch)

    def _loader(self, use: Literal["train", "evaluation"]) -> RequestLoader:
        """Return the loader of training or of evaluation, which lives as long as the run."""
        if use not in self._loaders:
            pixel = self.table.pixels.num_bytes
            shapes = ((self._requests.batch_size_of(at), self.size_of(at)) for at in self.schedule.places)
            # Of any phase: the shared memory is made once for the whole run.
            largest = max(pixel * batch_size * num_pixels(size) for batch_size, size in shapes)
            pinned = self._device.type == "cuda"
            self._loaders[use] = RequestLoader(self._dataset, self.num_workers, largest, pinned)
        return self._loaders[use]

    def _train_batches(self) -> Iterator[Batch]:
        epoch = self._epoch()
        first_epoch, first_batch = self._state.start
        start = first_batch if epoch == first_epoch else 0
        yield from self._epoch_batches(self._loader("train"), epoch, start)

    def _epoch_batches(self, loader: RequestLoader, epoch: int, start: int = 0) -> Iterator[Batch]:
        requests = self.training_requests(epoch, start)
        return self._phase_batches("train", self.schedule.at(epoch), loader, requests)

    def _valid_batches(self) -> Iterator[Batch]:
        place = self._place()
        requests = self.evaluation_requests("valid", self.size_of(place))
        yield from self._phase_batches("valid", place, self._loader("evaluation"), requests)

    def _phase_batches(
        self, split: Split, place: Place, loader: RequestLoader, requests: Iterator[Request]
    ) -> Iterator[Batch]:
        """Return batches of features where the place precomputes them, else of pictures."""
        if not place.phase.precompute or self._features is None:
            return self._on_device.answer(requests, loader.read)
        features = self._features(split, self.size_of(place))
        return featured(features, self.table.rows(split), self.table.labels, requests, self._device)

    def _num_valid_batches(self) -> int:
        rows = self.table.rows("valid")
        return sum(1 for _ in even_chunks(rows, self.loading.pictures_a_step, *self._rank()))

    def _epoch(self) -> int:
        return min(self.trainer.current_epoch, self.schedule.epochs - 1) if self.trainer else 0

    def _place(self) -> Place:
        return self.schedule.at(self._epoch())

    @property
    def _device(self) -> torch.device:
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")

    def _rank(self) -> Rank:
        return Rank(self.trainer.global_rank, self.trainer.world_size) if self.trainer else Rank()
