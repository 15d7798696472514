"""A training step's operations have deterministic kernels on CUDA; seen on the CPU, where they are the same.

torch raises at run time where there is none:
https://docs.pytorch.org/docs/stable/generated/torch.use_deterministic_algorithms.html
"""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from imageclf.data import Batch
from imageclf.training.parts.module import build_module

# Operations without a deterministic kernel on CUDA, in the words of the dispatcher.
REFUSED = {
    "_adaptive_avg_pool2d_backward",
    "_adaptive_avg_pool3d_backward",
    "_ctc_loss_backward",
    "_embedding_bag_dense_backward",
    "_histogramdd_bin_edges",
    "_upsample_bicubic2d_aa_backward",
    "_upsample_bilinear2d_aa_backward",
    "adaptive_max_pool2d_backward",
    "avg_pool3d_backward",
    "bincount",
    "fractional_max_pool2d_backward",
    "grid_sampler_2d_backward",
    "histc",
    "kthvalue",
    "max_unpool2d",
    "median",
    "nll_loss2d_forward",
    "put",
    "put_",
    "reflection_pad1d_backward",
    "reflection_pad2d_backward",
    "scatter_reduce",
    "upsample_bicubic2d_backward",
    "upsample_bilinear2d_backward",
    "upsample_linear1d_backward",
}
MODELS = ["resnet18", "efficientnet_lite0", "resnext50_32x4d", "convnext_atto", "vit_tiny_patch16_224"]


class Operations(TorchDispatchMode):
    """Note the names of all operations, those of the backward pass and of the optimizer too."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))


def batch(size: int) -> Batch:
    """Draw four pictures of three classes."""
    images = torch.randint(0, 256, (4, 3, size, size), dtype=torch.uint8)
    labels = torch.tensor([0, 1, 2, 0])
    return Batch(images.contiguous(memory_format=torch.channels_last), None, labels, torch.arange(4))


@pytest.fixture
def operations(parsed) -> Iterator[Any]:
    """Return a function that takes a training step and names its operations."""

    def of(*overrides: str, size: int = 64, sizes: set[int] | None = None) -> set[str]:
        module, _ = build_module(parsed(*overrides).model, {"a": 2, "b": 3, "c": 4}, sizes or {size})
        optimizer = module.configure_optimizers()
        module.train()
        with Operations() as seen:
            module.training_step(batch(size), 0).backward()
            optimizer.step()
        assert "convolution_backward" in seen.names
        return seen.names

    return of


@pytest.mark.parametrize("backbone", MODELS)
@pytest.mark.sampled(3)
def test_a_step_of_a_usual_model_is_deterministic_where_that_is_asked_for(operations, backbone):
    size = 224 if backbone.startswith("vit") else 64
    assert operations(f"model.backbone={backbone}", size=size) & REFUSED == set()


@pytest.mark.parametrize(
    "overrides",
    [
        ["model/loss=bce"],
        ["model/loss=focal"],
        ["model.class_weights=balanced"],
        ["model.head._target_=imageclf.model.FastaiHead"],
        ["model.mixing.mixup=0.4", "model.mixing.cutmix=1.0", "model.mixing.erase=1.0"],
        ["model/optimizer=sgd"],
        ["model/optimizer=lamb"],
    ],
)
@pytest.mark.sampled(3)
def test_so_are_losses_heads_mixing_and_optimizers(operations, overrides):
    assert operations(*overrides) & REFUSED == set()


def test_position_embeddings_that_are_resampled_in_every_step_are_not(operations):
    """torch refuses them, and says so: a ViT at several sizes cannot be deterministic on a GPU."""
    names = operations("model.backbone=vit_tiny_patch16_224", size=64, sizes={64, 96})
    assert names & REFUSED == {"_upsample_bicubic2d_aa_backward"}
