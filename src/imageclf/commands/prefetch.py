"""Fetch the weights that a training will load, for machines without internet."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from imageclf.model.backbone import create_backbone
from imageclf.model.weights.pretrained import SOURCES, cached_file
from imageclf.training.check_keys import checked
from imageclf.training.parts.module import weights_file


@dataclass(frozen=True)
class PrefetchOptions:
    """What imageclf-prefetch takes."""

    model: Mapping[str, Any]


def run(cfg: DictConfig, folder: Path) -> None:
    """Fetch the weights, and print where they are."""
    print(prefetch(checked(cfg, PrefetchOptions).model))


def prefetch(model: Mapping[str, Any]) -> str:
    """Return a sentence that says where a model's weights are; those of the hub are fetched first.

    Raises:
        InputError: there is no such model, or its weights cannot be fetched.
    """
    weights, backbone = model["weights"], model["backbone"]
    if not isinstance(backbone, str):
        return f"there is nothing to fetch: {backbone['_target_']} is not a model of timm"
    # Building the model fetches exactly what a training loads, and refuses a wrong file.
    create_backbone(backbone, weights if weights in SOURCES else weights_file(weights))
    if weights == "hub":
        return f"the weights of {backbone} are in {cached_file(backbone) or 'the cache of timm'}"
    places = {"none": "is drawn at random", "packaged": "has its weights in an installed package"}
    return f"there is nothing to fetch: {backbone} {places.get(weights, f'has its weights in {weights}')}"
