"""Get the weights that a training would load, before it runs where there is no internet."""

from typing import Any

from imageclf.model import create_backbone
from imageclf.model.hub import fetch


def prefetch(model: dict[str, Any]) -> str:
    """Return a sentence that says where a model's weights are; those of the hub are fetched first.

    Args:
        model: the model node.

    Raises:
        InputError: there is no such model, or its weights are not to be had.
    """
    weights, backbone = model["weights"], model["backbone"]
    if weights == "hub":
        file = fetch(backbone)
        return f"the weights of {backbone} are in {file}" if file else f"{backbone} is in the cache of timm"
    # Also here: a name or file that is wrong is not to wait for the training.
    create_backbone(backbone, weights)
    places = {"none": "is drawn at random", "packaged": "has its weights in an installed package"}
    return f"there is nothing to fetch: {backbone} {places.get(weights, f'has its weights in {weights}')}"
