"""The data of twelve small pictures: eight to train on, three held out, one to predict."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from presets import SIDE_ON, caching

from imageclf.data import Augmentation, Batch, Caching, ImageData, Loading, Request
from imageclf.data.sources.table import make_table
from imageclf.schedule import Phase, RunState, Schedule

SCHEDULE = Schedule(
    {
        "head": Phase(n_cycles=2, augment=False, precompute=True),
        "finetune": Phase(batch_size=3, unfreeze_to=0),
        "bigger": Phase(size=24, unfreeze_to=0, augment=False),
    }
)
TRAIN, VALID, TEST = [0, 2, 3, 5, 6, 8, 9, 11], [1, 4, 10], [7]
SPLITS = ["train" if row in TRAIN else "valid" if row in VALID else "test" for row in range(12)]
LABELS = ["cat", "cat", "dog", "cat", "dog", "cat", "cat", "", "cat", "dog", "dog", "cat"]


def image_data(
    folder: Path,
    splits: list[str] = SPLITS,
    schedule: Schedule = SCHEDULE,
    rank: int | None = None,
    epoch: int = 0,
    augmentation: Augmentation = SIDE_ON,
    kept: Caching | None = None,
    start: tuple[int, int] = (0, 0),
    **loading: Any,
) -> ImageData:
    """Make the data of the first pictures, as one rank of two sees them if a rank is given."""
    ids = [str(index) for index in range(len(splits))]
    paths = [str(folder / f"{name}.png") for name in ids]
    table = make_table({"id": ids, "path": paths, "label": LABELS[: len(ids)], "split": splits})
    options = {"size": 16, "batch_size": 4, "num_workers": 0, "resize": "crop", "oversample": "none"}
    options |= {"on_error": "raise", "device_store": "auto"}
    data = ImageData(
        table,
        Loading(**(options | loading)),
        schedule,
        augmentation,
        crop_pct=1.0,
        seed=42,
        caching=kept or caching(folder / "cache", cache="none"),
        state=RunState(start=start),
    )
    if rank is not None or epoch:
        data.trainer = SimpleNamespace(
            global_rank=rank or 0,
            world_size=1 if rank is None else 2,
            current_epoch=epoch,
            strategy=SimpleNamespace(root_device=torch.device("cpu")),
        )
    return data


def rows_of(requests: Iterable[Request]) -> list[list[int]]:
    """List the rows of requests."""
    return [request.rows.tolist() for request in requests]


def flat(rows: Iterable[list[int]]) -> list[int]:
    """Join the rows of all batches."""
    return list(chain.from_iterable(rows))


def same(one: Iterable[Batch], two: Iterable[Batch]) -> list[bool]:
    """Compare two lists of batches bit for bit."""
    pairs = zip(one, two, strict=True)
    return [torch.equal(a.images, b.images) and torch.equal(a.labels, b.labels) for a, b in pairs]
