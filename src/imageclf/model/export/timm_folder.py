"""A trained classifier as stock timm reads it: tensors in its names, and its kind of config."""

import re
from dataclasses import dataclass
from typing import Any, Literal

import timm
import torch
from torch import Tensor, nn

from imageclf import InputError
from imageclf.model.backbone import DataConfig
from imageclf.model.classifier import ImageClassifier
from imageclf.schedule.size import PictureSize, edges, of_edges

# timm's crop mode for each value of `data.resize`.
_CROP_MODES = {"crop": "center", "squish": "squash", "pad": "border", "random_resized_crop": "center"}


@dataclass(frozen=True)
class TimmFolder:
    """The content of a folder that `timm.create_model("local-dir:FOLDER")` reads.

    Args:
        config: of config.json.
        state: of model.safetensors, in timm's names; with the classifier if the head is one of timm's.
        head: the layers of any other head as code, else "".
        head_state: of head.safetensors.
    """

    config: dict[str, Any]
    state: dict[str, Tensor]
    head: str
    head_state: dict[str, Tensor]


def to_timm(
    model: ImageClassifier,
    backbone: str,
    classes: tuple[str, ...],
    expects: DataConfig,
    size: PictureSize,
    resize: Literal["crop", "squish", "pad", "random_resized_crop"],
) -> TimmFolder:
    """Return a classifier as stock timm reads it; `backbone` is the timm name of its body.

    Raises:
        InputError: the head has layers that are not torch's own.
    """
    arguments = _size_arguments(model.backbone, expects, size)
    if model.channels != 3:
        arguments["in_chans"] = model.channels
    stock = timm.create_model(backbone, num_classes=len(classes), **arguments)
    is_native = _take_over(stock, model, size)
    pretrained: Any = stock.pretrained_cfg
    config = {
        "architecture": backbone.partition(".")[0],
        "num_classes": len(classes) if is_native else 0,
        "label_names": list(classes),
        "model_args": arguments,
        "pretrained_cfg": {
            "input_size": [model.channels, *edges(size)],
            "fixed_input_size": expects.fixed_size is not None,
            "interpolation": "bicubic",
            "crop_pct": expects.crop_pct,
            "crop_mode": _CROP_MODES[resize],
            "mean": list(expects.mean),
            "std": list(expects.std),
            "num_classes": len(classes) if is_native else 0,
            "classifier": pretrained["classifier"],
            "first_conv": pretrained["first_conv"],
        },
    }
    if is_native:
        return TimmFolder(config, _plain(stock), "", {})
    return TimmFolder(config, _plain(model.backbone), layers_as_code(model.head), _plain(model.head))


def layers_as_code(head: nn.Module) -> str:
    """Return the layers of a head as the code that builds them.

    >>> layers_as_code(nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 2)))
    'nn.Dropout(p=0.5, inplace=False), nn.Linear(in_features=4, out_features=2)'

    Raises:
        InputError: it is not a sequence of torch's own layers.
    """
    layers = list(head) if isinstance(head, nn.Sequential) else [head]
    strange = [layer for layer in layers if not type(layer).__module__.startswith("torch.nn.modules.")]
    if strange:
        raise InputError(
            f"format=timm: the head {type(head).__name__} is not a sequence of torch.nn layers, and timm "
            "cannot build it; give format=onnx"
        )
    # The repr of a layer is the call that builds it; older torch has no bias in batch norm.
    return ", ".join(f"nn.{layer!r}".replace(", bias=True", "") for layer in layers)


def _size_arguments(backbone: Any, expects: DataConfig, size: PictureSize) -> dict[str, Any]:
    """Return the options of `timm.create_model` that a backbone was built with for its picture sizes."""
    if getattr(backbone, "dynamic_img_size", False):
        # The size of its position embeddings.
        return {"img_size": of_edges(backbone.patch_embed.img_size), "dynamic_img_size": True}
    return {} if expects.fixed_size is None else {"img_size": size}


@torch.no_grad()
def _take_over(stock: nn.Module, model: ImageClassifier, size: PictureSize) -> bool:
    """Load backbone and head into timm's own model; return whether it then computes the same."""
    linear = _last_linear(model.head)
    classifier: Any = stock.get_classifier()  # type: ignore[operator]
    if linear is None or not isinstance(classifier, nn.Linear):
        return False
    if classifier.weight.shape != linear.weight.shape:
        return False
    missing, unexpected = stock.load_state_dict(model.backbone.state_dict(), strict=False)
    classifier.load_state_dict(linear.state_dict())
    pictures = torch.randn(2, model.channels, *edges(size), generator=torch.Generator().manual_seed(0))
    model, stock = model.eval(), stock.eval()
    same = torch.allclose(stock(pictures), model.head(model.backbone(pictures)), rtol=1e-3, atol=1e-4)
    return same and not unexpected and all(re.search(r"(weight|bias)$", name) for name in missing)


def _last_linear(head: nn.Module) -> nn.Linear | None:
    """Return the linear layer of a head that has nothing but that and dropout."""
    layers = [layer for layer in head.children() if not isinstance(layer, nn.Dropout)]
    return layers[0] if len(layers) == 1 and isinstance(layers[0], nn.Linear) else None


def _plain(module: nn.Module) -> dict[str, Tensor]:
    # Safetensors supports neither strides such as channels-last nor shared memory.
    state = module.state_dict()
    return {name: state[name].detach().clone(memory_format=torch.contiguous_format) for name in state}
