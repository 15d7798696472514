"""Any timm model as a body that turns pictures into features."""

from dataclasses import dataclass
from typing import Any

import timm
import torch
from timm.data.config import resolve_model_data_config
from torch import Tensor, nn

from imageclf import InputError
from imageclf.model.hub import cached_file, check_reachable
from imageclf.model.weights import body_weights, load_weights


@dataclass(frozen=True)
class DataConfig:
    """What a backbone's weights expect of a picture.

    Args:
        mean: per channel, of values in [0, 1].
        std: per channel, of values in [0, 1].
        crop_pct: share of the shorter side that the centre crop of evaluation keeps.
        fixed_size: pixels a side where the architecture takes no other, else None.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    crop_pct: float
    fixed_size: int | None


def create_backbone(name: str, weights: str, size: int | None = None) -> nn.Module:
    """Return a timm model without its classifier: `[B, 3, H, W]` -> `[B, F]`.

    Args:
        name: any name that timm knows.
        weights: hub, packaged, none, or the path of a file.
        size: pixels a side to build position embeddings for; None keeps the architecture's own.

    Raises:
        InputError: timm does not know the name, or the weights are not to be had.
    """
    if not _is_known(name):
        raise InputError(f"model.backbone={name}: timm has no such model{_suggestion(name)}")
    # Before the model: a missing file should not cost the time of building one.
    state = load_weights(weights, name)
    options: dict[str, Any] = {"num_classes": 0, "pretrained": weights == "hub"}
    if size is not None and _fixed_size(timm.get_pretrained_cfg(name)) is not None:
        # Only architectures of a fixed size take this; a convolutional one would refuse it.
        options["img_size"] = size
    backbone: nn.Module = _create(name, options)
    if state is not None:
        # Strict: a tensor that is silently left random costs days.
        _load(backbone, state, name)
    return backbone


def data_config(backbone: nn.Module) -> DataConfig:
    """Return what the backbone's weights expect of a picture, as timm knows it."""
    config = resolve_model_data_config(backbone)
    return DataConfig(
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        crop_pct=float(config["crop_pct"]),
        fixed_size=_fixed_size(getattr(backbone, "pretrained_cfg", None)),
    )


@torch.no_grad()
def num_features(backbone: nn.Module, size: int) -> int:
    """Return F, the width of the features, by looking at those of one black picture."""
    modes = [module.training for module in backbone.modules()]
    backbone.eval()
    # timm's own attributes say it for most families, a forward pass for all.
    features: Tensor = backbone(torch.zeros(1, 3, size, size))
    for module, mode in zip(backbone.modules(), modes, strict=True):
        module.training = mode
    if features.ndim != 2:
        raise InputError(
            f"model.backbone: features of shape {list(features.shape)}, not [B, F]; take another model"
        )
    return features.shape[1]


def _create(name: str, options: dict[str, Any]) -> nn.Module:
    if options["pretrained"]:
        file = cached_file(name)
        if file is None:
            check_reachable(name)
        else:
            # Without this a node that has no internet asks for it again and again.
            options["pretrained_cfg_overlay"] = {"file": str(file)}
    try:
        return timm.create_model(name, **options)
    except (OSError, RuntimeError) as error:
        # Without a download such an error is a bug, not a network's.
        if not options["pretrained"]:
            raise
        raise InputError(
            f"model.weights=hub: the weights of {name} are neither cached nor to be fetched "
            f"({type(error).__name__}); connect once, or give model.weights=PATH, packaged or none"
        ) from error


def _load(backbone: nn.Module, state: dict[str, Tensor], name: str) -> None:
    try:
        backbone.load_state_dict(body_weights(state, set(backbone.state_dict())))
    except RuntimeError as error:
        raise InputError(
            f"model.weights: tensors of the file have other shapes than those of {name}; "
            "is it of another model, or made for another size of picture?"
        ) from error


def _is_known(name: str) -> bool:
    try:
        timm.get_pretrained_cfg(name)
    except RuntimeError:  # The part behind the dot names no weights.
        return False
    return bool(timm.is_model(name))


def _fixed_size(config: Any) -> int | None:
    fixed = getattr(config, "fixed_input_size", None)
    if isinstance(config, dict):
        fixed, size = config.get("fixed_input_size"), config.get("input_size")
    else:
        size = getattr(config, "input_size", None)
    return int(size[-1]) if fixed and size else None


def _suggestion(name: str) -> str:
    similar = timm.list_models(f"*{name.split('.')[0][:8]}*")[:3]
    return f"; similar names: {', '.join(similar)}" if similar else "; timm.list_models() lists them"
