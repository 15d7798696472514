"""The network: a backbone, a head, and the normalisation that the backbone's weights expect."""

import torch
from torch import Tensor, nn


class ImageClassifier(nn.Module):
    """Pictures to logits.

    Args:
        backbone: `[B, C, H, W]` -> features `[B, F]`.
        head: features `[B, F]` -> logits `[B, C]`.
        mean: per channel, of values in [0, 1].
        std: per channel, of values in [0, 1].
        top: the largest value of a picture: 255, or 65535 with 16 bits.
    """

    mean: Tensor
    std: Tensor
    # Whether the backbone gets contiguous pictures; else as they come, which is channels-last.
    is_contiguous = False

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Module,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        top: int = 255,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.top = top
        # Buffers move with the model to its device and into every checkpoint.
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    @property
    def channels(self) -> int:
        """Return C, the channels of a picture."""
        return self.mean.shape[1]

    @property
    def dtype(self) -> torch.dtype:
        """Return the type of a picture's values."""
        return torch.uint8 if self.top == 255 else torch.uint16

    def arrange(self, channels_last: bool) -> None:
        """Lay out weights of convolutions, and pictures from now on, channels-last or contiguous."""
        self.to(memory_format=torch.channels_last if channels_last else torch.contiguous_format)
        self.is_contiguous = not channels_last

    def normalise(self, images: Tensor) -> Tensor:
        """Return pictures `[B, C, H, W]` in 0..`top` as the floats that the backbone expects.

        Channels-last pictures stay channels-last, unless the network was arranged to be contiguous.
        """
        if self.is_contiguous:
            images = images.contiguous()
        if images.is_cuda:
            # Two kernels instead of four, each of which reads and writes the whole batch.
            scale = 1 / (self.top * self.std)
            # Torch multiplies no uint16: https://github.com/pytorch/pytorch/issues/58734.
            return ((images if self.dtype == torch.uint8 else images.float()) * scale).sub_(
                self.mean / self.std
            )
        return (images.float() / self.top - self.mean) / self.std

    def features(self, images: Tensor) -> Tensor:
        """Return features `[B, F]` of pictures `[B, C, H, W]`, uint8 or uint16."""
        features: Tensor = self.backbone(self.normalise(images))
        return features

    def forward(self, images: Tensor) -> Tensor:
        """Return logits `[B, C]` of pictures `[B, C, H, W]`, uint8 or uint16."""
        logits: Tensor = self.head(self.features(images))
        return logits
