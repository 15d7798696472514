"""The loaders of other libraries, each as its own documentation has it, with what `side_on` does.

A contestant is a function of (folder, size, workers, batch_size) that returns a reader of epochs. Where
two public ways were open, the faster one is here, and where a library lacks a transform, it is left out
in its favour; the README lists both. The libraries are imported only where they are used, since a
contestant's memory should be its own.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

Epochs = Callable[[int], Iterator[Tensor]]

MAX_ROTATE = 10
MAX_ZOOM = 1.1
P_AFFINE = 0.75
MAX_LIGHTING = 0.05


def torchvision_pictures(folder: Path, size: int, workers: int, batch_size: int) -> Epochs:
    """Read by `ImageFolder` and `transforms.v2` on Pillow's pictures, `ImageFolder`'s default."""
    from torchvision.transforms import v2

    return _torchvision(folder, size, workers, batch_size, fill=0, last=[v2.PILToTensor()])


def torchvision_tensors(folder: Path, size: int, workers: int, batch_size: int) -> Epochs:
    """Read by `ImageFolder` and `transforms.v2` on tensors, which torchvision says to be the faster way.

    Its decoder is deprecated since 0.29, without another one in torchvision.
    """
    return _torchvision(folder, size, workers, batch_size, fill=None, loader=_decode)


def timm_loader(folder: Path, size: int, workers: int, batch_size: int) -> Epochs:
    """Read by `create_loader`: `rkrr`, its crop that keeps the shorter side whole; it cannot rotate."""
    # Below the prefetcher, which on the CPU only turns uint8 into normalised floats.
    return _epochs(timm_prefetcher(folder, size, workers, batch_size, torch.device("cpu")).loader)


def timm_prefetcher(folder: Path, size: int, workers: int, batch_size: int, device: torch.device) -> Any:
    """Return `create_loader`'s loader, of (normalised pictures, labels) on a device."""
    from timm.data import ImageDataset, create_loader

    return create_loader(
        ImageDataset(str(folder)),
        input_size=(3, size, size),
        batch_size=batch_size,
        is_training=True,
        train_crop_mode="rkrr",
        scale=(1 / MAX_ZOOM**2, 1.0),  # of the area
        ratio=(1.0, 1.0),
        hflip=0.5,
        # Without saturation; timm takes a tuple, whatever its annotation says.
        color_jitter=(MAX_LIGHTING, MAX_LIGHTING, 0.0),  # type: ignore[arg-type]
        interpolation="bilinear",
        num_workers=workers,
        pin_memory=device.type == "cuda",
        device=device,
    )


def fastai_loader(folder: Path, size: int, workers: int, batch_size: int) -> Epochs:
    """Read by a `DataBlock` with `Resize` and `aug_transforms`; those run on batches, in this process.

    Every epoch starts its workers anew, whatever `persistent_workers` says: fastai 2 does so.
    """
    # The cores that the workers leave: more threads than that made it slower.
    torch.set_num_threads(max(1, (os.cpu_count() or 1) - workers))
    return _epochs(fastai_loaders(folder, size, workers, batch_size, torch.device("cpu")).train)


def fastai_loaders(
    folder: Path, size: int, workers: int, batch_size: int, device: torch.device, held_out: int = 0
) -> Any:
    """Return the `DataLoaders`, whose batches lie on a device; as many pictures as said are held out."""
    from fastai.vision import all as fastai  # type: ignore[import-untyped]

    block = fastai.DataBlock(
        blocks=(fastai.ImageBlock, fastai.CategoryBlock),
        get_items=fastai.get_image_files,
        splitter=fastai.IndexSplitter(list(range(held_out))),
        get_y=fastai.parent_label,
        item_tfms=fastai.Resize(size),
        batch_tfms=fastai.aug_transforms(
            max_rotate=MAX_ROTATE,
            max_zoom=MAX_ZOOM,
            max_warp=0.0,
            p_affine=P_AFFINE,
            max_lighting=MAX_LIGHTING,
            p_lighting=1.0,
        ),
    )
    kwargs = {"bs": batch_size, "num_workers": workers, "persistent_workers": workers > 0}
    pinned = {"pin_memory": device.type == "cuda"}
    return block.dataloaders(folder, device=device, shuffle=True, drop_last=True, **kwargs, **pinned)


def _torchvision(
    folder: Path, size: int, workers: int, batch_size: int, fill: int | None, last: Any = (), **reading: Any
) -> Epochs:
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    # One affine map for rotation and zoom, after the crop: two maps, or a larger one, take longer.
    bilinear = v2.InterpolationMode.BILINEAR
    affine = v2.RandomAffine(MAX_ROTATE, scale=(1.0, MAX_ZOOM), interpolation=bilinear, fill=fill)
    steps = [
        v2.Resize(size),
        v2.RandomCrop(size),
        v2.RandomApply([affine], p=P_AFFINE),
        v2.RandomHorizontalFlip(),
        v2.ColorJitter(brightness=MAX_LIGHTING, contrast=MAX_LIGHTING),
        *last,
    ]
    dataset = ImageFolder(str(folder), transform=v2.Compose(steps), **reading)
    loader = DataLoader(
        dataset,
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    return _epochs(loader)


def _decode(path: str) -> Tensor:
    from torchvision.io import decode_image

    pixels: Tensor = decode_image(path, mode="RGB")
    return pixels


def _epochs(loader: Any) -> Epochs:
    def epoch(_: int) -> Iterator[Tensor]:
        for images, _labels in loader:
            yield images

    return epoch
