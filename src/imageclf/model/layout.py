"""How pictures and convolution weights lie in memory: channels-last, or contiguous."""

from typing import Literal

from torch import nn

# Training steps from which on it pays to prepare the fastest kernels; docs/gpu.md has what was measured.
MIN_STEPS = 2000


def has_depthwise(body: nn.Module) -> bool:
    """Return whether a network has depthwise convolutions, which see each channel by itself."""
    convolutions = [each for each in body.modules() if isinstance(each, nn.Conv2d)]
    return any(each.groups == each.in_channels > 1 for each in convolutions)


def is_channels_last(asked: bool | Literal["auto"], body: nn.Module, on_cuda: bool, steps: int) -> bool:
    """Return whether a network's pictures and weights are channels-last, which is the faster layout.

    On CUDA cuDNN compiles channels-last depthwise convolutions anew for every shape of a batch, which takes
    seconds each time; torch's own kernels for contiguous ones are there at once, and slower. So a short
    training of such a network is contiguous, and so are predictions alone: 0 `steps`.

    Source: https://github.com/NVIDIA/cudnn-frontend/issues/1066
    """
    if asked != "auto":
        return asked
    return not on_cuda or steps >= MIN_STEPS or not has_depthwise(body)
