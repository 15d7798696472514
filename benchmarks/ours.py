"""Our loader of training pictures, as a contestant."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor

from imageclf.configs import CONF_DIR
from imageclf.data import Augmentation, Caching, FolderSource, PictureDataset, Request
from imageclf.data.loader import RequestLoader
from imageclf.data.sampler import epoch_order

SEED = 0


def ours(
    folder: Path, size: int, workers: int, batch_size: int, cache: str
) -> Callable[[int], Iterator[Tensor]]:
    """Return a reader of epochs, by number, as uint8 batches `[B, 3, size, size]`.

    Args:
        folder: holds the class folders.
        size: pixels a side.
        workers: processes; 0 reads in this one.
        batch_size: a last, smaller batch is dropped.
        cache: none: the files themselves are read; raw, jpeg: from pictures that were shrunk before.
    """
    table = FolderSource(root=str(folder), train=".", valid=None, test=None).read()
    dataset = PictureDataset(table.paths, table.labels, _side_on(), resize="crop", crop_pct=1.0, seed=SEED)
    # Beside the pictures, so that it goes when they go; a second contestant finds it there.
    caching = Caching(cache, cache_dir=f"{folder}-cache", cache_gb=100, fingerprint="stat")
    dataset.stores = caching.stores(table.paths, {size: dataset.side_of(size)}, "crop")
    loader = RequestLoader(dataset, workers, largest=3 * batch_size * size**2)

    def epoch(number: int) -> Iterator[Tensor]:
        order = epoch_order(table.rows(""), SEED, number)
        for batch in loader.read(_requests(order, batch_size, number, size)):
            assert batch.images is not None
            yield batch.images

    return epoch


def _requests(order: np.ndarray, batch_size: int, epoch: int, size: int) -> Iterator[Request]:
    for end in range(batch_size, len(order) + 1, batch_size):
        rows = order[end - batch_size : end]
        yield Request(rows=rows, views=np.ones_like(rows), epoch=epoch, size=size)


def _side_on() -> Augmentation:
    augmentation: Augmentation = instantiate(OmegaConf.load(Path(CONF_DIR, "transforms", "side_on.yaml")))
    return augmentation
