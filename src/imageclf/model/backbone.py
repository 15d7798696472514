"""Any timm model as a body that turns pictures into features."""

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import timm
import torch
from timm.data.config import resolve_data_config, resolve_model_data_config
from torch import Tensor, nn

from imageclf import InputError
from imageclf.model.picture_sizes import check_sizes, size_options, takes_option
from imageclf.model.weights.positions import NAME, fitted_positions
from imageclf.model.weights.pretrained import (
    Weights,
    body_weights,
    cached_file,
    check_reachable,
    read_weights,
)
from imageclf.schedule.size import Oblong, PictureSize, by_pixels, edges
from imageclf.system.words import first_line


@dataclass(frozen=True)
class DataConfig:
    """What a backbone's weights expect of a picture.

    Args:
        mean: per channel, of values in [0, 1].
        std: per channel, of values in [0, 1].
        crop_pct: share that the centre crop of evaluation keeps of the side that limits it.
        fixed_size: pixels a side where the architecture takes no other, else None.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop_pct: float
    fixed_size: int | None


def create_backbone(
    name: str,
    weights: str,
    size: PictureSize | Collection[PictureSize] | None = None,
    drop_path_rate: float | None = None,
    channels: int = 3,
) -> nn.Module:
    """Return a timm model without its classifier: `[B, channels, H, W]` -> `[B, F]`.

    Args:
        name: any name that timm knows.
        weights: hub, packaged, none, or the path of a file; position embeddings of another picture size are
            resampled.
        size: of the pictures, one or several; None: the architecture's own.
        drop_path_rate: fraction of the pictures that skip the last block in training, falling to 0 at the
            first block; None: the architecture's own.
        channels: of the pictures; timm folds the first layer's weights for three of them.

    Raises:
        InputError: timm does not know the name, the weights cannot be loaded, or the architecture does not
            accept the sizes or a `drop_path_rate`.
    """
    check_known(name, weights)
    # Before the model, which takes time to build.
    loaded = read_weights(weights, name)
    sizes = [size] if isinstance(size, int | Oblong) else by_pixels(size or ())
    options = size_options(name, sizes)
    check_sizes(name, sizes, options)
    options |= {"num_classes": 0, "pretrained": weights == "hub", **_drop_path(name, drop_path_rate)}
    options |= {} if channels == 3 else {"in_chans": channels}
    backbone = _create(name, options)
    if loaded is not None:
        # Strict: a tensor that silently stays random costs days.
        _load(backbone, loaded, name, options)
    return backbone


def check_known(name: str, weights: str, others: Sequence[str] = ()) -> None:
    """Refuse a model that timm does not know, or the hub's weights of one that has none.

    `others` are further names that may have been meant.
    """
    if not _is_known(name):
        near = near_names(name, others)
        hint = f"similar names are {', '.join(near)}" if near else "timm.list_models() lists all names"
        own = f"; a class of your own is model.backbone._target_={name}" if "." in name else ""
        raise InputError(f"model.backbone={name}: neither timm nor conf/model has it; {hint}{own}")
    config = timm.get_pretrained_cfg(name)
    if weights == "hub" and not (config and config.has_weights):
        raise InputError(
            f"model.weights=hub: nobody has published weights of {name}; give model.weights=PATH, or none to "
            "start from random ones"
        )


def near_names(name: str, others: Sequence[str] = ()) -> list[str]:
    """Return up to three names that are like a misspelt one, those that begin with it first.

    Of a known model with unknown weights, the names of its weights are compared; else `others` and timm's.
    """
    base = name.partition(".")[0]
    names = timm.list_pretrained(f"{base}.*") if timm.is_model(base) else [*others, *timm.list_models()]
    longer = [each for each in names if each.startswith(name)]
    return list(dict.fromkeys([*longer, *difflib.get_close_matches(name, names, n=4, cutoff=0.4)]))[:3]


def data_config(backbone: nn.Module) -> DataConfig:
    """Return what the backbone's weights expect of a picture, according to timm."""
    config = resolve_model_data_config(backbone)
    return DataConfig(
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        crop_pct=float(config["crop_pct"]),
        fixed_size=_fixed_size(backbone),
    )


def expected_crop_pct(name: str) -> float | None:
    """Return the `crop_pct` of a backbone by its name; None if timm has no config of that name."""
    config = timm.get_pretrained_cfg(name) if _is_known(name) else None
    return None if config is None else float(resolve_data_config(pretrained_cfg=config.to_dict())["crop_pct"])


def num_features(backbone: nn.Module, size: PictureSize, channels: int = 3) -> int:
    """Return F, the width of the features, from a forward pass with one black picture.

    Raises:
        InputError: it gives no tensor `[B, F]`.
    """
    # timm's own attributes are right for most families, a forward pass is for all.
    features = evaluated(backbone, torch.zeros(1, channels, *edges(size)))
    if not isinstance(features, Tensor) or features.ndim != 2:
        found = f"shape {list(features.shape)}" if isinstance(features, Tensor) else type(features).__name__
        raise InputError(f"model.backbone: features of {found}, not [B, F]; pool them, or take another model")
    return features.shape[1]


@torch.no_grad()
def evaluated(net: nn.Module, inputs: Tensor) -> Any:
    """Return what a module gives in eval mode, and leave every mode as it was.

    Raises:
        InputError: it fails on these inputs.
    """
    modes = {module: module.training for module in net.modules()}
    net.eval()
    try:
        return net(inputs)
    except (RuntimeError, TypeError, ValueError) as error:
        name, shape = type(net).__name__, list(inputs.shape)
        raise InputError(f"model.backbone: {name} fails on a tensor {shape}: {first_line(error)}") from error
    finally:
        for module, mode in modes.items():
            module.training = mode


def _create(name: str, options: dict[str, Any]) -> nn.Module:
    if options["pretrained"]:
        file = cached_file(name)
        if file is None:
            check_reachable(name)
        else:
            # Without this a node without internet would try to download it again and again.
            options["pretrained_cfg_overlay"] = {"file": str(file)}
    try:
        return timm.create_model(name, **options)
    except (OSError, RuntimeError) as error:
        # Without a download such an error is a bug.
        if not options["pretrained"]:
            raise
        raise InputError(
            f"model.weights=hub: the weights of {name} are not cached and cannot be downloaded "
            f"({type(error).__name__}); connect once, or give model.weights=PATH, packaged or none"
        ) from error


def _load(backbone: nn.Module, loaded: Weights, name: str, options: dict[str, Any]) -> None:
    expected = backbone.state_dict()
    state = fitted_positions(body_weights(loaded.state, set(expected)), backbone, loaded.grid)
    try:
        if any(state[key].shape != expected[key].shape for key in expected):
            done = {NAME: state[NAME]} if NAME in state and state[NAME].shape == expected[NAME].shape else {}
            state = _resampled(state, name, options) | done
        backbone.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(
            f"model.weights: tensors of the file have other shapes than those of {name}; "
            "is it of another model, or for another picture size or data.channels?"
        ) from error


def _resampled(state: dict[str, Tensor], name: str, options: dict[str, Any]) -> dict[str, Tensor]:
    """Return the tensors as timm adapts them: position embeddings to a size, the first layer to channels."""
    # Each family has its own filter for that, which timm applies when it loads pretrained weights.
    # No classes: with a classifier timm would tolerate missing tensors.
    overlay = {"state_dict": state, "num_classes": 0}
    donor = timm.create_model(name, **{**options, "pretrained": True}, pretrained_cfg_overlay=overlay)
    return donor.state_dict()


def _drop_path(name: str, rate: float | None) -> dict[str, float]:
    if rate is None:
        return {}
    if not 0 <= rate < 1:
        raise InputError(f"model.drop_path_rate={rate}: give a number from 0 to below 1, or null")
    if not takes_option(name, "drop_path_rate", rate):
        raise InputError(f"model.drop_path_rate={rate}: {name} has no drop path; give null")
    return {"drop_path_rate": rate}


def _is_known(name: str) -> bool:
    try:
        timm.get_pretrained_cfg(name)
    except RuntimeError:  # The part after the dot names no weights.
        return False
    return bool(timm.is_model(name))


def _fixed_size(backbone: nn.Module) -> int | None:
    config: dict[str, Any] = getattr(backbone, "pretrained_cfg", None) or {}
    if not config.get("fixed_input_size") or getattr(backbone, "dynamic_img_size", False):
        return None
    return int(config["input_size"][-1])
