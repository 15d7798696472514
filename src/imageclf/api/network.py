"""A trained run as PyTorch takes it: a module, and the transform from a picture to its tensor."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from imageclf.api.pictures import Given, listed, pixels
from imageclf.data import PictureDataset, Request
from imageclf.data.pictures.pixels import RGB, Pixels
from imageclf.data.pictures.store import Shrunk, read_shrunk, shrunk
from imageclf.data.views.viewing import Viewing
from imageclf.model.classifier import ImageClassifier
from imageclf.schedule.size import PictureSize
from imageclf.tasks import MULTICLASS, Task


class Ensemble(nn.Module):
    """The mean of several networks' probabilities, as one network."""

    def __init__(self, members: Sequence[ImageClassifier], task: Task = MULTICLASS) -> None:
        super().__init__()
        self._task = task
        self.members = nn.ModuleList(members)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits `[B, C]` of uint8 pictures `[B, 3, H, W]` that stand for the mean probability."""
        each = [self._task.probabilities(member(images)) for member in self.members]
        return self._task.logits(torch.stack(each).mean(0))


@dataclass(frozen=True)
class Transform:
    """Turn a picture into what the network takes, exactly as predictions do.

    An object rather than a function, so that a DataLoader's processes can be sent it.

    Args:
        viewing: how a picture becomes a view.
        size: of the view.
        pixels: channels and bits of the network.
    """

    viewing: Viewing
    size: PictureSize
    pixels: Pixels = RGB

    def __call__(self, picture: Given) -> Tensor:
        """Return a picture as uint8 `[3, H, W]`, 0 to 255: the network itself normalises it.

        With `data.channels` and `data.bits` it has these channels, and is uint16 with 16 bits.

        Args:
            picture: a path, a PIL image, or an array as `Run.predict` takes it.

        Raises:
            InputError: it cannot be read, or is no picture.
        """
        return plain_view(self.read(picture), self.viewing, self.size, self.pixels)

    def read(self, picture: Given) -> Shrunk:
        """Return a picture as its view is made from it, near that size.

        Raises:
            InputError: it cannot be read, or is no picture.
        """
        side = self.viewing.side_of(self.size)
        paths, images = listed([picture])
        if paths:
            return read_shrunk(paths[0], self.size, side, self.viewing.resize, self.pixels)
        return shrunk(pixels(images[0], self.pixels), side, self.viewing.resize)


def plain_view(picture: Shrunk, viewing: Viewing, size: PictureSize, kind: Pixels) -> Tensor:
    """Return the plain view of a picture, `[C, H, W]`."""
    one = np.zeros(1, dtype=np.int64)
    augmentation, resize = viewing.augmentation, viewing.resize
    dataset = PictureDataset(
        [""], one - 1, augmentation, resize, viewing.crop_pct, viewing.seed, [picture], kind
    )
    images = dataset[Request(rows=one, views=one, epoch=0, size=size)].images
    assert images is not None, "a dataset of pictures returns pictures"
    return images[0].contiguous()
