"""From the model node to its loss, with class weights where they are asked for."""

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from imageclf import InputError
from imageclf.configs import instantiate, locate_target
from imageclf.model import class_weights


def build_loss(node: dict[str, Any], counts: Mapping[str, int]) -> nn.Module:
    """Build the loss.

    Args:
        node: the model node.
        counts: training pictures of each class, in class order.

    Raises:
        InputError: class weights cannot be had, or the loss takes none.
    """
    check_weights(node)
    weight = class_weights(node["class_weights"], counts)
    # Only where it is asked for: a loss may have a weight of another meaning.
    offered = {} if weight is None else {"weight": weight}
    loss: nn.Module = instantiate(node["loss"], "model.loss", **offered)
    return loss


def check_weights(node: dict[str, Any]) -> None:
    """Refuse class weights for a loss that takes none.

    Raises:
        InputError: its signature has no `weight`.
    """
    how, loss = node["class_weights"], node["loss"]
    if how != "none" and "weight" not in inspect.signature(locate_target(loss, "model.loss")).parameters:
        raise InputError(
            f"model.class_weights={how}: {loss['_target_']} takes no weight; "
            "give none, or model/loss=cross_entropy, focal or bce"
        )
