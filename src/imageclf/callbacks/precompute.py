"""Train the head on cached features of the frozen body: several epochs for one forward pass."""

import logging
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import lightning as pl
import numpy as np
import torch
from torch import Tensor, nn

from imageclf import InputError
from imageclf.callbacks.callback import Callback, Order
from imageclf.data import ImageData
from imageclf.data.datamodule import Split
from imageclf.data.pictures.cache import content_key
from imageclf.data.pictures.caching import about_files
from imageclf.evaluation.predicting import evaluating, on_device
from imageclf.model import ClassifierModule, Collector, weights_digest
from imageclf.schedule import Phase, Schedule

log = logging.getLogger(__name__)

Stored = Literal["float32", "float16"]

# To be raised whenever the same body and pictures would give other features.
_VERSION = 4


def compute_features(
    trainer: pl.Trainer,
    module: ClassifierModule,
    data: ImageData,
    split: Split,
    size: int,
    stored: Stored = "float32",
) -> Tensor:
    """Return features `[N, F]` of a split in table order, all ranks together; a collective call.

    Pictures are seen as in validation: the plain view, the body in eval mode.

    Raises:
        InputError: a feature is too large for `stored`.
    """
    dtype: torch.dtype = getattr(torch, stored)
    batches = data.read(data.evaluation_requests(split, size))
    collected = Collector()
    with evaluating(module), trainer.precision_plugin.forward_context():
        for batch in on_device(trainer, batches):
            if batch.images is None:
                raise ValueError("features are computed from pictures")
            collected.add(batch.rows, batch.labels, module.model.features(batch.images).to(dtype))
    features = module.gather(collected).probabilities
    if not bool(torch.isfinite(features).all()):
        raise InputError(
            f"callbacks.precompute.stored={stored}: a feature is no number of that kind; "
            "give float32, or another model.weights if it was that already"
        )
    return features


def feature_key(
    trainer: pl.Trainer,
    module: ClassifierModule,
    data: ImageData,
    split: Split,
    size: int,
    stored: Stored = "float32",
) -> str:
    """Return a hash of all that the features of a split depend on: files, transform, weights, rounding."""
    paths = [data.table.paths[row] for row in data.table.rows(split)]
    return content_key(
        version=_VERSION,
        files=data.caching.digest(paths),
        picture=[size, data.side_of(size), data.loading.resize, data.crop_pct, data.is_lossy(size)],
        # Views that are made there round otherwise.
        on_device=data.is_on_device(size),
        weights=weights_digest(module.model.backbone),
        normalise=[module.model.mean.flatten().tolist(), module.model.std.flatten().tolist()],
        precision=[str(trainer.precision), stored],
        rounding=rounding(trainer.strategy.root_device, module.model.backbone),
        libraries={name: version(name) for name in ("timm", "torch", "pillow", "opencv-python-headless")},
    )


def rounding(device: torch.device, body: nn.Module) -> dict[str, Any]:
    """Return what decides how the sums of a body's features round, besides the precision.

    Args:
        device: that computes them.
        body: the network; its memory format decides which kernels run.
    """
    maps = [weight for weight in body.parameters() if weight.ndim == 4]
    found: dict[str, Any] = {
        "device": device.type,
        "channels_last": all(each.is_contiguous(memory_format=torch.channels_last) for each in maps),
        "compiled": body._compiled_call_impl is not None,
    }
    if device.type == "cuda":
        exact = torch.are_deterministic_algorithms_enabled()
        found["tf32"] = [torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32]
        # A run that is to be bit for bit takes nothing from the fast path, and nothing from another card.
        found["card"] = torch.cuda.get_device_name(device) if exact else "any"
    return found


def stored_features(
    trainer: pl.Trainer,
    module: ClassifierModule,
    data: ImageData,
    split: Split,
    size: int,
    stored: Stored = "float32",
) -> Tensor:
    """Return what `compute_features` does, from an earlier run if one has kept it; a collective call.

    What was kept is mapped, not read: of features larger than the memory only those of a batch are in it.
    """
    cache, key = data.caching.folder, feature_key(trainer, module, data, split, size, stored)
    found = cache.find("features", key)
    # All or none: computing takes every rank, and machines may have caches of their own.
    if trainer.strategy.reduce_boolean_decision(found is not None, all=True):
        # Copy on write: torch takes no array that may not be written.
        return torch.from_numpy(np.load(Path(str(found), "features.npy"), mmap_mode="c"))
    features = compute_features(trainer, module, data, split, size, stored)
    if trainer.local_rank == 0:
        about = about_files(data.table.paths) | {
            "pictures": len(features),
            "split": split,
            "size": size,
            "features": features.shape[1],
        }
        cache.get("features", key, about, lambda folder: np.save(folder / "features.npy", features.numpy()))
    return features


class Precompute(Callback):
    """Serve phases with `precompute: true` from features that are computed at the phase's start.

    They are kept between runs, unless `data.cache=none`: see `feature_key`.

    The schedule refuses precompute with augmentation or a trainable body, so the features are those
    that every epoch of the phase would compute.

    Args:
        schedule: what holds at an epoch.
        stored: numbers of the features; float16 takes half the room, and rounds to three digits.

    Source: `ConvLearner.pretrained(..., precompute=True)` of fastai 0.7.
    """

    order = Order.PREPARE

    @classmethod
    def is_needed_by(cls, phase: Phase) -> bool:
        """Return whether a phase trains on cached features."""
        return phase.precompute

    def __init__(self, schedule: Schedule, stored: Stored) -> None:
        self._schedule = schedule
        self._stored = stored
        self._cached: dict[tuple[str, Split, int], Tensor] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Give the data a source of features."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]

        def source(split: Split, size: int) -> Tensor:
            """Return features of a split at a size."""
            return self._features(trainer, pl_module, data, split, size)

        data.feature_source = source

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the features of an earlier phase: the body may have changed since."""
        name = self._schedule.at(trainer.current_epoch).name
        self._cached = {key: features for key, features in self._cached.items() if key[0] == name}

    def _features(self, trainer: pl.Trainer, module: Any, data: ImageData, split: Split, size: int) -> Tensor:
        # The phase is part of the key: another phase may have trained the body in between.
        key = (self._schedule.at(trainer.current_epoch).name, split, size)
        if key not in self._cached:
            log.info("precompute: features of %s pictures at %d px", split, size)
            source = compute_features if data.caching.cache == "none" else stored_features
            self._cached[key] = source(trainer, module, data, split, size, self._stored)
        return self._cached[key]
