"""A network of the user's own in place of a timm model: any module that gives features, or logits itself."""

from typing import Any

import torch
from torch import nn

from imageclf import InputError
from imageclf.model.backbone import evaluated
from imageclf.model.weights.pretrained import body_weights, read_weights
from imageclf.schedule.size import PictureSize, edges, num_pixels


def is_own(body: nn.Module) -> bool:
    """Return whether a body is of a class that timm does not have."""
    return not type(body).__module__.startswith("timm.")


def check_own(net: object, name: str) -> nn.Module:
    """Return what a `model.backbone` node has built, if it can be trained; `name` is that of its class.

    Raises:
        InputError: it is no module, or has no parameters.
    """
    if not isinstance(net, nn.Module):
        raise InputError(
            f"model.backbone._target_={name} gives a {type(net).__name__}, not a torch.nn.Module"
        )
    if next(net.parameters(), None) is None:
        raise InputError(f"model.backbone._target_={name} has no parameters, so there is nothing to train")
    return net


def split_head(
    net: nn.Module, size: PictureSize, num_classes: int, channels: int = 3
) -> tuple[nn.Module, nn.Module]:
    """Split a network that gives logits into a body, which is the network itself, and a head.

    The head is what `get_classifier()` returns, as in timm, or else the last child that has parameters. An
    identity takes its place in the body, and the two together must give what the network gave for a picture
    of a size to try it with.

    Raises:
        InputError: it gives no logits `[B, num_classes]`, or its last layer is not its head.
    """
    pictures = torch.linspace(-2, 2, channels * num_pixels(size)).view(1, channels, *edges(size))
    name = _head_name(net)
    head, logits = getattr(net, name), evaluated(net, pictures)
    if logits.shape != (1, num_classes):
        raise InputError(
            f"model.head=null: {type(net).__name__} gives {list(logits.shape)} for one picture, not "
            f"[1, {num_classes}]; let its constructor take num_classes, or give a model.head"
        )
    setattr(net, name, nn.Identity())
    features = evaluated(net, pictures)
    if features.ndim != 2 or not torch.allclose(evaluated(head, features), logits, rtol=1e-4, atol=1e-5):
        raise InputError(
            f"model.head=null: {name} of {type(net).__name__} is not the last step from features [B, F] to "
            "logits; let a method get_classifier() return the layer that is, or give a model.head"
        )
    return net, head


def load_body(body: nn.Module, weights: str) -> None:
    """Load the file of `model.weights` into a body of the user's own; none leaves it as it was built.

    Raises:
        InputError: the file is not of this body.
    """
    loaded = read_weights(weights, "")
    if loaded is None:
        return
    try:
        body.load_state_dict(body_weights(loaded.state, set(body.state_dict())))
    except RuntimeError as error:
        raise InputError(
            f"model.weights={weights}: tensors of the file have other shapes than those of "
            f"{type(body).__name__}"
        ) from error


def _head_name(net: nn.Module) -> str:
    children = list(net.named_children())
    get_classifier: Any = getattr(net, "get_classifier", None)
    if get_classifier is None:
        named = [name for name, child in children if next(child.parameters(), None) is not None]
    else:
        named = [name for name, child in children if child is get_classifier()]
    if not named:
        raise InputError(f"model.head=null: {type(net).__name__} has no layer that could be its head")
    return named[-1]
