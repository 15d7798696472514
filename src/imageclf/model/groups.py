"""Layer groups: the body cut into N - 1 pieces in forward order, the head as the last group.

The layers of a body are timm's own: its coarse ones are cut into groups, its fine ones count for layer decay.
"""

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from timm.models import group_parameters
from timm.models._manipulate import group_with_matcher
from timm.optim import auto_group_layers  # type: ignore[attr-defined]
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from imageclf import InputError
from imageclf.model.classifier import ImageClassifier


@dataclass(frozen=True)
class LayerGroups:
    """The parameters and modules of each group, under their names in the whole classifier.

    Args:
        names: body0, body1, ..., head.
        parameters: names of each group's parameters.
        modules: names of each group's modules.
        depths: number of fine layers between each parameter and the head; 0 in the head.
    """

    names: tuple[str, ...]
    parameters: tuple[tuple[str, ...], ...]
    modules: tuple[tuple[str, ...], ...]
    depths: Mapping[str, int]

    @property
    def tops(self) -> dict[str, int]:
        """How many layers the last layer of each group lies below the head, by the group's name."""
        members = zip(self.names, self.parameters, strict=True)
        return {name: min(self.depths[each] for each in group) for name, group in members}

    def count_parameters(self, model: nn.Module) -> tuple[int, ...]:
        """Return the number of parameters of each group."""
        sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
        return tuple(sum(sizes[name] for name in group) for group in self.parameters)


def layer_groups(model: ImageClassifier, num_groups: int) -> LayerGroups:
    """Cut a classifier into layer groups, of which the last is the head.

    The body's layers, in timm's order, are divided evenly by count, and the first pieces get the odd ones: a
    ResNet's stem, 1, 2 | 3, 4 | head, as in fastai 0.7.

    Raises:
        InputError: the body has fewer layers than pieces.
    """
    layers = ordered_layers(model.backbone)
    if not 2 <= num_groups <= len(layers) + 1:
        legal = "2: give model.groups=2" if len(layers) == 1 else f"2 to {len(layers) + 1}"
        raise InputError(f"model.groups={num_groups}: this backbone allows {legal}")
    pieces = np.array_split(np.arange(len(layers)), num_groups - 1)
    bodies = [tuple(f"backbone.{name}" for layer in piece for name in layers[layer]) for piece in pieces]
    head = tuple(f"head.{name}" for name, _ in model.head.named_parameters())
    parameters = (*bodies, head)
    return LayerGroups(
        names=(*(f"body{index}" for index in range(num_groups - 1)), "head"),
        parameters=parameters,
        modules=_modules_of(model, parameters),
        depths={
            **{f"backbone.{name}": depth for name, depth in layer_depths(model.backbone).items()},
            **dict.fromkeys(head, 0),
        },
    )


def freeze_to(model: nn.Module, groups: LayerGroups, first: int, train_bn: bool) -> None:
    """Train the groups from index `first` on and freeze those below it, in gradients and in mode.

    A frozen group is in eval mode: batch norm keeps its statistics and dropout does nothing, so its features
    can be cached. Without `train_bn` all batch norm of the body keeps its statistics. Applying it again
    changes nothing.

    Source: `learn.freeze_to(first)` of fastai 0.7, with `learn.bn_freeze(not train_bn)`.
    """
    parameters, modules = dict(model.named_parameters()), dict(model.named_modules())
    for index, _ in enumerate(groups.names):
        # They stay in the optimizer, which skips parameters without a gradient.
        for name in groups.parameters[index]:
            parameters[name].requires_grad_(index >= first)
        for name in groups.modules[index]:
            # Not .train(): it would reach into children of other groups.
            modules[name].training = index >= first and not _is_fixed_norm(name, modules[name], train_bn)


def learning_norms(model: nn.Module, groups: LayerGroups, first: int, train_bn: bool) -> set[str]:
    """Return the names of the batch norms that `freeze_to`, given the same, leaves in training mode."""
    modules = dict(model.named_modules())
    names = {name for members in groups.modules[first:] for name in members}
    norms = {name for name in names if isinstance(modules[name], _BatchNorm)}
    return {name for name in norms if not _is_fixed_norm(name, modules[name], train_bn)}


def parameter_groups(
    model: ImageClassifier, groups: LayerGroups, weight_decay: float, by_layer: bool = False
) -> list[dict[str, Any]]:
    """Return the optimizer's parameter groups, named after their layer group, with learning rate 0.

    Norms, biases and what the architecture lists have no weight decay: they follow in groups of their own,
    named `body0/no_decay` and so on. With `by_layer` each group is split by layer, first layer first, into
    groups such as `body0/12` with their `depth` below the head: layer decay needs this, and a step takes
    longer.
    """
    parameters = dict(model.named_parameters())
    exempt = _no_decay(model)
    rows: list[dict[str, Any]] = []
    for suffix, decayed in (("", True), ("/no_decay", False)):
        for name, members in zip(groups.names, groups.parameters, strict=True):
            chosen = [member for member in members if (member not in exempt) == decayed]
            decay = {"weight_decay": weight_decay if decayed else 0.0}
            rows.append({"name": name + suffix, "params": chosen, "lr": 0.0, **decay})
    if by_layer:
        rows = [part for row in rows for part in _split(row, groups.depths)]
    return [{**row, "params": [parameters[name] for name in row["params"]]} for row in rows if row["params"]]


def ordered_layers(backbone: nn.Module) -> list[list[str]]:
    """Return the names of the parameters of each coarse layer, in forward order."""
    names = [name for name, _ in backbone.named_parameters()]
    matcher: Any = getattr(backbone, "group_matcher", None)
    if matcher is not None:
        layer_of: Mapping[str, int] = group_parameters(backbone, _coarsest(matcher), reverse=True)
    else:
        # Three timm families and most users' own models; their stages are registered in forward order.
        stage_of = dict(zip(names, map(_stage, _without_wrapper(names)), strict=True))
        stages = list(dict.fromkeys(stage_of.values()))
        layer_of = {name: stages.index(stage) for name, stage in stage_of.items()}
    layers: dict[int, list[str]] = {}
    for name in names:
        layers.setdefault(layer_of[name], []).append(name)
    return [layers[key] for key in sorted(layers)]


def layer_depths(backbone: nn.Module) -> dict[str, int]:
    """Return the number of fine layers between each parameter of a body and the head.

    0 is the layer of the head itself, which has the norm before it in some families.

    Source: `timm.optim.param_groups_layer_decay`, whose `lr_scale` is `layer_decay ** depth`.
    """
    matcher: Any = getattr(backbone, "group_matcher", None)
    if matcher is None:
        numbers: dict[str, int] = auto_group_layers(backbone)
        # One more for the classifier, which the body does not have.
        return {name: max(numbers.values()) + 1 - number for name, number in numbers.items()}
    names = [name for name, _ in backbone.named_parameters()]
    classifier = f"{_classifier(backbone)}.weight"
    # The classifier is not there, but its name is enough for its number.
    named = [(name, None) for name in (*names, classifier)]
    numbers = group_with_matcher(iter(named), matcher(coarse=False), reverse=True)
    return {name: max(numbers.values()) - numbers[name] for name in names}


def _split(row: dict[str, Any], depths: Mapping[str, int]) -> list[dict[str, Any]]:
    layers: dict[int, list[str]] = {}
    for name in row["params"]:
        layers.setdefault(depths[name], []).append(name)
    return [
        {**row, "name": f"{row['name']}/{depth}", "params": layers[depth], "depth": depth}
        for depth in sorted(layers, reverse=True)
    ]


def _modules_of(model: nn.Module, parameters: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Assign each module the last group among its parameters, else that of the module before."""
    named = dict(model.named_parameters())
    # By tensor: a module that several blocks share has several names.
    group_of = {named[name]: index for index, group in enumerate(parameters) for name in group}
    members: list[list[str]] = [[] for _ in parameters]
    last = 0
    for prefix, module in model.named_modules():
        inside = [group_of[parameter] for parameter in module.parameters()]
        own = [group_of[parameter] for parameter in module.parameters(recurse=False)]
        in_head = prefix.partition(".")[0] == "head"
        group = max(inside, default=len(parameters) - 1 if in_head else last)
        members[group].append(prefix)
        last = max(own, default=last)
    return tuple(tuple(names) for names in members)


def _is_fixed_norm(name: str, module: nn.Module, train_bn: bool) -> bool:
    return isinstance(module, _BatchNorm) and name.startswith("backbone.") and not train_bn


def _no_decay(model: ImageClassifier) -> set[str]:
    names = {name: parameter.ndim for name, parameter in model.named_parameters()}
    # Names, or patterns such as "pos_embed.*".
    listed: set[str] = getattr(model.backbone, "no_weight_decay", set)()
    exempt = {name for pattern in listed for name in fnmatch.filter(names, f"backbone.{pattern}")}
    return exempt | {name for name, ndim in names.items() if ndim <= 1}


def _without_wrapper(names: Sequence[str]) -> list[str]:
    """Return names of parameters without the modules that hold all others.

    >>> _without_wrapper(["net.stem.weight", "net.stem.bias", "net.last.weight"])
    ['stem.weight', 'stem.bias', 'last.weight']
    """
    inner = [name.partition(".")[2] for name in names]
    is_wrapped = len({name.partition(".")[0] for name in names}) == 1 and all("." in name for name in inner)
    return _without_wrapper(inner) if is_wrapped else list(names)


def _stage(name: str) -> str:
    """Return the top module of a parameter, with its index if it is a list: `stages.2`."""
    top, _, rest = name.partition(".")
    index = rest.partition(".")[0]
    return f"{top}.{index}" if index.isdigit() else top


def _coarsest(matcher: Any) -> Any:
    try:
        return matcher(coarse=True)
    except AssertionError:  # RDNet has one kind of layer only.
        return matcher(coarse=False)


def _classifier(backbone: nn.Module) -> str:
    config: Mapping[str, Any] = getattr(backbone, "pretrained_cfg", None) or {}
    name = config.get("classifier") or "head"
    # Distilled models have two.
    return name if isinstance(name, str) else str(name[0])
