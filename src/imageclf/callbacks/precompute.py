"""Train the head on cached features of the frozen body: one forward pass for several epochs."""

import logging
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import lightning as pl
import numpy as np
import torch
from torch import Tensor, nn

from imageclf import InputError
from imageclf.callbacks.callback import Callback, Order, data_of
from imageclf.data import ImageData
from imageclf.data.pictures.cache import content_key
from imageclf.data.pictures.caching import about_files
from imageclf.data.requests import Split
from imageclf.evaluation.predicting import evaluating, on_device
from imageclf.model.module import ClassifierModule
from imageclf.model.own_backbone import is_own
from imageclf.model.predictions import Collector
from imageclf.model.weights.files import weights_digest
from imageclf.schedule import Phase, Schedule
from imageclf.schedule.size import PictureSize, plain
from imageclf.system.progress import track

log = logging.getLogger(__name__)

Stored = Literal["float32", "float16"]

# Raise it whenever the same body and pictures would give other features.
_VERSION = 4


def compute_features(
    trainer: pl.Trainer,
    module: ClassifierModule,
    data: ImageData,
    split: Split,
    size: PictureSize,
    stored: Stored = "float32",
) -> Tensor:
    """Return features `[N, F]` of a split in table order, computed by all ranks; a collective call.

    As in validation, the body is in eval mode and pictures are not augmented.

    Raises:
        InputError: a feature is too large for `stored`.
    """
    dtype: torch.dtype = getattr(torch, stored)
    batches = data.read(data.evaluation_requests(split, size))
    collected = Collector()
    name, total = f"features of {split} pictures at {size} px", len(data.table.rows(split))
    with (
        evaluating(module),
        trainer.precision_plugin.forward_context(),
        track(name, total, kind=("evaluation", size)) as advance,
    ):
        for batch in on_device(trainer, batches):
            advance(len(batch.rows) * trainer.world_size)
            if batch.images is None:
                raise ValueError("features are computed from pictures")
            collected.add(batch.rows, batch.labels, module.model.features(batch.images).to(dtype))
    features = module.gather(collected).probabilities
    if not bool(torch.isfinite(features).all()):
        raise InputError(
            f"callbacks.precompute.stored={stored}: a feature is not finite in this type; "
            "give float32, or another model.weights if it is float32 already"
        )
    return features


def feature_key(
    trainer: pl.Trainer,
    module: ClassifierModule,
    data: ImageData,
    split: Split,
    size: PictureSize,
    stored: Stored = "float32",
) -> str:
    """Return a hash of everything that the features of a split depend on."""
    paths = [data.table.paths[row] for row in data.table.rows(split)]
    return content_key(
        version=_VERSION,
        files=data.caching.digest(paths),
        **data.table.pixels.key,
        picture=[size, data.side_of(size), data.loading.resize, data.crop_pct, data.is_lossy(size)],
        # Views that are made there are rounded differently.
        on_device=data.is_on_device(size),
        weights=weights_digest(module.model.backbone),
        normalise=[module.model.mean.flatten().tolist(), module.model.std.flatten().tolist()],
        precision=[str(trainer.precision), stored],
        rounding=rounding(trainer.strategy.root_device, module.model.backbone),
        libraries={name: version(name) for name in ("timm", "torch", "pillow", "opencv-python-headless")},
    )


def rounding(device: torch.device, body: nn.Module) -> dict[str, Any]:
    """Return what decides, besides the precision, how a body's features are rounded on a device."""
    # The memory format of the weights decides which kernels run.
    maps = [weight for weight in body.parameters() if weight.ndim == 4]
    found: dict[str, Any] = {
        "device": device.type,
        "channels_last": all(each.is_contiguous(memory_format=torch.channels_last) for each in maps),
        "compiled": body._compiled_call_impl is not None,
    }
    if device.type == "cuda":
        exact = torch.are_deterministic_algorithms_enabled()
        found["tf32"] = [torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32]
        # A deterministic run takes no features of a run that is not, and none of another card.
        found["card"] = torch.cuda.get_device_name(device) if exact else "any"
    return found


def stored_features(
    trainer: pl.Trainer,
    module: ClassifierModule,
    data: ImageData,
    split: Split,
    size: PictureSize,
    stored: Stored = "float32",
) -> Tensor:
    """Return features as `compute_features` does, from the cache if they are there; a collective call.

    Cached features are memory-mapped, so they may be larger than the memory.
    """
    cache, key = data.caching.folder, feature_key(trainer, module, data, split, size, stored)
    found = cache.find("features", key)
    # All or none: computing takes every rank, and each machine may have its own cache.
    if trainer.strategy.reduce_boolean_decision(found is not None, all=True):
        # Copy on write: torch does not take a read-only array.
        return torch.from_numpy(np.load(Path(str(found), "features.npy"), mmap_mode="c"))
    features = compute_features(trainer, module, data, split, size, stored)
    if trainer.local_rank == 0:
        about = about_files(data.table.paths) | {
            "pictures": len(features),
            "split": split,
            "size": plain(size),
            "features": features.shape[1],
        }
        cache.get("features", key, about, lambda folder: np.save(folder / "features.npy", features.numpy()))
    return features


class Precompute(Callback):
    """Compute the features of phases with `precompute: true` once, when they are first needed.

    They are kept between runs, unless `data.cache=none` or the body is no model of timm: see `feature_key`.
    The schedule refuses precompute with augmentation or a trainable body, so every epoch of the phase would
    compute the same features.

    Args:
        stored: type of the features; float16 takes half the space, and rounds to three digits.

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
        self._cached: dict[tuple[str, Split, PictureSize], Tensor] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Offer the features to the data."""
        data_of(trainer).use_features(partial(self._features, trainer, pl_module))

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Drop the features of an earlier phase: the body may have changed since."""
        name = self._schedule.at(trainer.current_epoch).name
        self._cached = {key: features for key, features in self._cached.items() if key[0] == name}

    def _features(self, trainer: pl.Trainer, module: Any, split: Split, size: PictureSize) -> Tensor:
        # The phase is part of the key: another phase may have trained the body in between.
        key = (self._schedule.at(trainer.current_epoch).name, split, size)
        if key not in self._cached:
            log.info("precompute: features of %s pictures at %s px", split, size)
            data = data_of(trainer)
            # Of a class of the user's own the code may change while its weights stay the same.
            is_kept = data.caching.cache != "none" and not is_own(module.model.backbone)
            source = stored_features if is_kept else compute_features
            self._cached[key] = source(trainer, module, data, split, size, self._stored)
        return self._cached[key]
