"""The layers of a body in forward order, as timm numbers them: coarse to cut groups, fine to decay rates."""

from collections.abc import Mapping
from typing import Any

from timm.models import group_parameters
from timm.models._manipulate import group_with_matcher
from timm.optim import auto_group_layers  # type: ignore[attr-defined]
from torch import nn


def ordered_layers(backbone: nn.Module) -> list[list[str]]:
    """Return the names of the parameters of each layer, coarse layers, in forward order."""
    names = [name for name, _ in backbone.named_parameters()]
    matcher: Any = getattr(backbone, "group_matcher", None)
    if matcher is not None:
        layer_of: Mapping[str, int] = group_parameters(backbone, _coarsest(matcher), reverse=True)
    else:
        # Three timm families name no groups; their stages are registered in forward order.
        stages = list(dict.fromkeys(map(_stage, names)))
        layer_of = {name: stages.index(_stage(name)) for name in names}
    layers: dict[int, list[str]] = {}
    for name in names:
        layers.setdefault(layer_of[name], []).append(name)
    return [layers[key] for key in sorted(layers)]


def layer_depths(backbone: nn.Module) -> dict[str, int]:
    """Return how many layers each parameter of a body lies below the head, in fine layers.

    0 is in the head's own layer: the norm before it in some families.

    Source: `timm.optim.param_groups_layer_decay`, whose `lr_scale` is `layer_decay ** depth`.
    """
    matcher: Any = getattr(backbone, "group_matcher", None)
    if matcher is None:
        numbers: dict[str, int] = auto_group_layers(backbone)
        # One more for the classifier, of which the body has nothing left.
        return {name: max(numbers.values()) + 1 - number for name, number in numbers.items()}
    names = [name for name, _ in backbone.named_parameters()]
    classifier = f"{_classifier(backbone)}.weight"
    # By its name the classifier, which is not there, gets the number that it would have.
    named = [(name, None) for name in (*names, classifier)]
    numbers = group_with_matcher(iter(named), matcher(coarse=False), reverse=True)
    return {name: max(numbers.values()) - numbers[name] for name in names}


def _stage(name: str) -> str:
    """Return the top module of a parameter, with the index of a list's: `stages.2`."""
    top, _, rest = name.partition(".")
    index = rest.partition(".")[0]
    return f"{top}.{index}" if index.isdigit() else top


def _coarsest(matcher: Any) -> Any:
    try:
        return matcher(coarse=True)
    except AssertionError:  # RDNet knows one way only.
        return matcher(coarse=False)


def _classifier(backbone: nn.Module) -> str:
    config: Mapping[str, Any] = getattr(backbone, "pretrained_cfg", None) or {}
    name = config.get("classifier") or "head"
    # Distilled models have two.
    return name if isinstance(name, str) else str(name[0])
