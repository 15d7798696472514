"""Weights of the hub: where they lie once they were fetched, and whether they can be."""

from pathlib import Path

import timm
import torch
from huggingface_hub import HfApi, try_to_load_from_cache

from imageclf import InputError

# In the order in which timm looks for them.
_NAMES = ("model.safetensors", "pytorch_model.bin")
_TIMEOUT = 5.0


def cached_file(backbone: str) -> Path | None:
    """Return the file with a timm model's weights that is in the cache, or None.

    Args:
        backbone: a name that timm knows.
    """
    config = timm.get_pretrained_cfg(backbone)
    repository, revision = _repository(config)
    if repository:
        chosen = getattr(config, "hf_hub_filename", None)
        names = (chosen,) if chosen else _NAMES
        found = [try_to_load_from_cache(repository, name, revision=revision) for name in names]
        return next((Path(path) for path in found if isinstance(path, str)), None)
    path = Path(
        torch.hub.get_dir(), "checkpoints", str(getattr(config, "url", None) or "").rpartition("/")[2]
    )
    return path if path.is_file() else None


def check_reachable(backbone: str) -> None:
    """Refuse at once what the hub's own downloads give up after a minute of further tries.

    Raises:
        InputError: the hub does not answer.
    """
    repository, revision = _repository(timm.get_pretrained_cfg(backbone))
    if not repository:
        return
    try:
        HfApi().model_info(repository, revision=revision, timeout=_TIMEOUT)
    except Exception as error:  # Its HTTP client, and with it the type, changes between versions.
        raise InputError(
            f"model.weights=hub: the weights of {backbone} are not in the cache, and the hub does not "
            f"give them ({type(error).__name__}); run imageclf-prefetch model.backbone={backbone} where "
            "there is internet, or give model.weights=PATH, packaged or none"
        ) from error


def _repository(config: object) -> tuple[str, str | None]:
    """Return the hub's name for a model, "" where it is fetched from elsewhere, and the revision."""
    name, _, revision = str(getattr(config, "hf_hub_id", None) or "").partition("@")
    return name, revision or None
