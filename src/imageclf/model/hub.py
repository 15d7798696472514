"""Weights of the hub: where they lie once they were fetched."""

from pathlib import Path

import timm
import torch
from huggingface_hub import try_to_load_from_cache

from imageclf.model.backbone import create_backbone

# In the order in which timm looks for them.
_NAMES = ("model.safetensors", "pytorch_model.bin")


def fetch(backbone: str) -> Path | None:
    """Fetch a timm model's weights unless they are there, and return the file; None where it is unknown.

    Raises:
        InputError: timm does not know the name, or the weights are not to be had.
    """
    # timm itself, so that what is fetched is what a training loads.
    create_backbone(backbone, "hub")
    return cached_file(backbone)


def cached_file(backbone: str) -> Path | None:
    """Return the file that timm would load, where no network is needed for it; else None.

    Args:
        backbone: a name that timm knows.
    """
    config = timm.get_pretrained_cfg(backbone)
    repository, _, revision = str(config.hf_hub_id or "").partition("@")
    if repository:
        names = (config.hf_hub_filename,) if config.hf_hub_filename else _NAMES
        found = [try_to_load_from_cache(repository, name, revision=revision or None) for name in names]
        return next((Path(path) for path in found if isinstance(path, str)), None)
    path = Path(torch.hub.get_dir(), "checkpoints", str(config.url or "").rpartition("/")[2])
    return path if path.is_file() else None
