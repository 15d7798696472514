"""From the model node to its loss, with class weights where they are asked for."""

from collections.abc import Mapping

from torch import nn

from imageclf.configs import instantiate
from imageclf.configs.options import ModelOptions
from imageclf.model import class_weights


def build_loss(model: ModelOptions, counts: Mapping[str, int]) -> nn.Module:
    """Build the loss.

    Args:
        model: its options, checked.
        counts: training pictures of each class, in class order.

    Raises:
        InputError: class weights cannot be computed, or the loss refuses its values.
    """
    weight = class_weights(model.class_weights, counts)
    # Only where it is asked for: a loss may have a weight of another meaning.
    offered = {} if weight is None else {"weight": weight}
    loss: nn.Module = instantiate(model.loss, "model.loss", **offered)
    return loss
