"""Mixup, cutmix and random erasing of normalised pictures, on their device."""

import torch
from timm.data.random_erasing import RandomErasing
from torch import Tensor
from torchvision.transforms.v2 import CutMix, MixUp

from imageclf.schedule.ranges import check_ranges


class Mixing:
    """Mix the pictures of a batch with each other, and erase parts of them.

    All draws come from the CPU's global generators, which are seeded at every batch by its position; only
    the noise that fills erased parts is drawn on the device.

    Args:
        mixup: parameter of the Beta distribution of the weight of two mixed pictures; 0: no mixup.
        cutmix: the same for the area that is pasted from another picture; 0: no cutmix. With both, each
            batch gets one of them at random.
        erase: probability that a part of a picture is replaced by noise.

    Raises:
        InputError: a value is outside its range.

    Source: mixup, https://arxiv.org/abs/1710.09412; CutMix, https://arxiv.org/abs/1905.04899; random
    erasing, https://arxiv.org/abs/1708.04896.
    """

    def __init__(self, mixup: float, cutmix: float, erase: float) -> None:
        check_ranges("model.mixing", {"mixup": mixup, "cutmix": cutmix, "erase": erase})
        self._alphas = {MixUp: mixup, CutMix: cutmix}
        self._erase = erase

    def __call__(self, images: Tensor, labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
        """Return mixed pictures `[B, 3, H, W]` and their targets: labels `[B]`, or shares `[B, num_classes]`.

        The pictures are normalised floats, the labels class indices `[B]`.
        """
        if self._erase > 0:
            erasing = RandomErasing(self._erase, mode="pixel", device=images.device)
            images = erasing(images.clone())
        transforms = [
            transform(alpha=float(alpha), num_classes=num_classes)
            for transform, alpha in self._alphas.items()
            if alpha > 0
        ]
        if not transforms:
            return images, labels
        mixed, targets = transforms[int(torch.randint(len(transforms), ()))](images, labels)
        return mixed, targets
