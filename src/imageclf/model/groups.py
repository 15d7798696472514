"""Layer groups: the body cut into N - 1 pieces in forward order, the head alone in the last one."""

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from imageclf import InputError
from imageclf.model.classifier import ImageClassifier
from imageclf.model.layers import layer_depths, ordered_layers


@dataclass(frozen=True)
class LayerGroups:
    """Which parameters and modules form each group; names are those of the whole classifier.

    Args:
        names: body0, body1, ..., head.
        parameters: names of each group's parameters.
        modules: names of each group's modules.
        depths: how many layers each parameter lies below the head, in timm's fine layers; 0 in the head.
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
    """Cut a classifier into layer groups.

    The body's layers are taken in timm's own order and cut evenly by count, the earlier pieces
    getting the odd ones: a ResNet's stem, 1, 2 | 3, 4 | head, as fastai 0.7 cuts it.

    Args:
        model: the classifier.
        num_groups: N; at least 1 for the body and 1 for the head.

    Raises:
        InputError: the body has fewer layers than pieces.
    """
    layers = ordered_layers(model.backbone)
    if not 2 <= num_groups <= len(layers) + 1:
        raise InputError(f"model.groups={num_groups}: this backbone allows 2 to {len(layers) + 1}")
    # array_split hands the odd layers to the first pieces.
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
    """Let the groups from `first` on train and freeze those below it, in gradients and in mode.

    A frozen group is in eval mode: batch norm keeps its statistics and dropout does nothing, so its
    features can be cached. Applying it again changes nothing.

    Args:
        model: the network that `groups` was made of.
        groups: its layer groups.
        first: index of the first group that trains.
        train_bn: whether batch norm of the body's training groups uses batch statistics.

    Source: `learn.freeze_to(first)` of fastai 0.7, with `learn.bn_freeze(not train_bn)`.
    """
    parameters, modules = dict(model.named_parameters()), dict(model.named_modules())
    for index, _ in enumerate(groups.names):
        # They stay in the optimizer: one without a gradient is passed over there.
        for name in groups.parameters[index]:
            parameters[name].requires_grad_(index >= first)
        for name in groups.modules[index]:
            # Not .train(): it would reach into children of other groups.
            modules[name].training = index >= first and not (_is_fixed_norm(name, modules[name], train_bn))


def learning_norms(model: nn.Module, groups: LayerGroups, first: int, train_bn: bool) -> set[str]:
    """Return the names of the batch norms that `freeze_to` lets gather statistics; arguments as there."""
    modules = dict(model.named_modules())
    names = {name for members in groups.modules[first:] for name in members}
    norms = {name for name in names if isinstance(modules[name], _BatchNorm)}
    return {name for name in norms if not _is_fixed_norm(name, modules[name], train_bn)}


def parameter_groups(
    model: ImageClassifier, groups: LayerGroups, weight_decay: float, by_layer: bool = False
) -> list[dict[str, Any]]:
    """Return optimizer groups, named after their layer group, with learning rate 0.

    Norms, biases and what the architecture lists go without weight decay: they form a second row of
    groups behind the first, under the same names with `/no_decay` behind.

    Args:
        model: the classifier.
        groups: its layer groups.
        weight_decay: of the tensors that take one.
        by_layer: split each of them by layer, first layer first, into groups such as `body0/12` that
            carry their `depth` below the head: layer decay needs it, and a step takes longer.
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


def _split(row: dict[str, Any], depths: Mapping[str, int]) -> list[dict[str, Any]]:
    layers: dict[int, list[str]] = {}
    for name in row["params"]:
        layers.setdefault(depths[name], []).append(name)
    return [
        {**row, "name": f"{row['name']}/{depth}", "params": layers[depth], "depth": depth}
        for depth in sorted(layers, reverse=True)
    ]


def _modules_of(model: nn.Module, parameters: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """Assign each module the last group among its parameters; one without any, that of the module before."""
    named = dict(model.named_parameters())
    # By the tensor: a module that several blocks share has a name in each of them.
    group_of = {named[name]: index for index, group in enumerate(parameters) for name in group}
    members: list[list[str]] = [[] for _ in parameters]
    last = 0
    for prefix, module in model.named_modules():
        inside = [group_of[parameter] for parameter in module.parameters()]
        own = [group_of[parameter] for parameter in module.parameters(recurse=False)]
        group = max(inside) if inside else _group_before(prefix, last, len(parameters))
        members[group].append(prefix)
        last = max(own) if own else last
    return tuple(tuple(names) for names in members)


def _group_before(prefix: str, last: int, num_groups: int) -> int:
    return num_groups - 1 if prefix.startswith("head.") or prefix == "head" else last


def _is_fixed_norm(name: str, module: nn.Module, train_bn: bool) -> bool:
    return isinstance(module, _BatchNorm) and name.startswith("backbone.") and not train_bn


def _no_decay(model: ImageClassifier) -> set[str]:
    names = {name: parameter.ndim for name, parameter in model.named_parameters()}
    # Names, or patterns such as "pos_embed.*".
    listed: set[str] = getattr(model.backbone, "no_weight_decay", set)()
    exempt = {name for pattern in listed for name in fnmatch.filter(names, f"backbone.{pattern}")}
    return exempt | {name for name, ndim in names.items() if ndim <= 1}
