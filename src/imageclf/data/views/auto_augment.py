"""timm's policies of random picture operations, for `transforms.extra`."""

from typing import Any

import numpy as np
from PIL import Image
from timm.data.auto_augment import (
    NAME_TO_OP,
    augment_and_mix_transform,
    auto_augment_transform,
    posterize,
    rand_augment_transform,
)

from imageclf import InputError
from imageclf.data.views.augmentation import Picture

_FACTORIES = {"rand": rand_augment_transform, "augmix": augment_and_mix_transform}


class AutoAugment:
    """Apply a policy of timm to a view.

    Args:
        policy: as timm writes them: `rand-m9-mstd0.5-inc1`, `augmix-m3-w3`, `original`, `3a`.

    Raises:
        InputError: timm does not know the policy.

    Source: RandAugment, https://arxiv.org/abs/1909.13719; AutoAugment, https://arxiv.org/abs/1805.09501;
    `timm.data.auto_augment`.
    """

    def __init__(self, policy: str) -> None:
        factory = _FACTORIES.get(policy.split("-")[0], auto_augment_transform)
        try:
            self._transform = factory(policy, {"img_mean": (124, 116, 104)})
        except (AssertionError, KeyError, ValueError) as error:
            raise InputError(
                f"transforms.extra.policy={policy}: timm does not know it; give one like rand-m9-mstd0.5-inc1"
            ) from error

    def __call__(self, picture: Picture) -> Picture:
        """Apply operations to a picture `[H, W, 3]`, drawn from Python's and NumPy's generators."""
        return np.asarray(self._transform(Image.fromarray(picture)))


def _posterize(picture: Image.Image, bits_to_keep: int, **more: Any) -> Image.Image:
    result: Image.Image = posterize(picture, max(1, bits_to_keep), **more)
    return result


# At its highest level timm keeps 0 bits, a black picture; Pillow from 13 on raises ValueError instead.
# (PIL.ImageOps.posterize: "bits must be between or equal to 1 and 8".)
NAME_TO_OP.update({name: _posterize for name, operation in NAME_TO_OP.items() if operation is posterize})
