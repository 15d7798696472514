"""Where a network looked: Grad-CAM on its last map of features."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning as pl
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imageclf.data import ImageData, Request
from imageclf.evaluation.predicting import evaluating, on_device
from imageclf.evaluation.preserve import preserved
from imageclf.model.classifier import ImageClassifier
from imageclf.model.module import ClassifierModule
from imageclf.model.weights.files import load_into
from imageclf.schedule.size import PictureSize


class Heatmaps(NamedTuple):
    """Pictures as the network saw them, `[N, H, W, C]`, and how much each place spoke, `[N, h, w]`."""

    pictures: NDArray[Any]
    maps: NDArray[np.float32]


def grad_cam(features: Tensor, gradients: Tensor) -> Tensor:
    """Return how much each place speaks for a class, `[B, h, w]`, 0 to 1; all 0 if no place does.

    Args:
        features: of the last layer that has places, `[B, C, h, w]`.
        gradients: of the class's logit by these features, of the same shape.

    Source: Selvaraju et al., "Grad-CAM", https://arxiv.org/abs/1610.02391.
    """
    weights = gradients.mean(dim=(2, 3), keepdim=True)
    maps = (weights * features).sum(dim=1).relu()
    highest = maps.amax(dim=(1, 2), keepdim=True)
    return maps / torch.where(highest > 0, highest, 1)


def class_maps(model: ImageClassifier, images: Tensor, classes: Tensor) -> Tensor | None:
    """Return `grad_cam` of a class `[B]` of each of pictures `[B, C, H, W]`.

    None if the backbone's last features have no places, as the tokens of a vision transformer.
    """
    backbone: Any = model.backbone
    if not hasattr(backbone, "forward_features") or not hasattr(backbone, "forward_head"):
        return None
    with torch.no_grad():
        features = backbone.forward_features(model.normalise(images))
    if not isinstance(features, Tensor) or features.ndim != 4:
        return None
    # Only the layers above them: the gradient by the features needs no others.
    with torch.enable_grad():
        features = features.detach().requires_grad_()
        logits = model.head(backbone.forward_head(features))
        (gradients,) = torch.autograd.grad(logits.gather(1, classes[:, None]).sum(), features)
    return grad_cam(*(_channels_first(each.float(), backbone) for each in (features.detach(), gradients)))


def heatmaps_of(
    trainer: pl.Trainer,
    module: ClassifierModule,
    data: ImageData,
    size: PictureSize,
    rows: NDArray[np.int64],
    classes: Sequence[int],
    weights: Path | None,
) -> Heatmaps | None:
    """Return what spoke for some classes, each on a picture; None if it cannot be told. Needs no other rank.

    `rows` of the table are in the order of the result, and `classes` has the number of the class of each.
    `weights` is a file of them; None: those that the module has, which is left as it is.
    """
    # One request for all: those of an evaluation would be a rank's share.
    requests = iter([Request(rows, np.zeros_like(rows), epoch=0, size=size)])
    (batch,) = on_device(trainer, data.read(requests))
    assert batch.images is not None, "pictures are asked for, not features"
    with preserved(module, trainer.optimizers[0]), evaluating(module):
        if weights is not None:
            load_into(module.model, weights)
        with trainer.precision_plugin.forward_context():
            numbers = torch.tensor(classes, device=batch.images.device)
            maps = class_maps(module.model, batch.images, numbers)
    if maps is None:
        return None
    return Heatmaps(batch.images.permute(0, 2, 3, 1).cpu().numpy(), maps.cpu().numpy())


def _channels_first(features: Tensor, backbone: Any) -> Tensor:
    # timm's own word for it; windowed transformers keep the channels last.
    return features.permute(0, 3, 1, 2) if getattr(backbone, "output_fmt", "NCHW") == "NHWC" else features
