"""Build the optimizer of a run."""

from collections.abc import Mapping
from typing import Any

from torch.optim import SGD, Adam, AdamW, Optimizer

from imageclf.configs import instantiate, locate_target

# Those that have had a fused implementation on CUDA for years.
_FUSED = (Adam, AdamW, SGD)
# Keys that choose the implementation, or exclude the fused one.
_CHOSEN = ("fused", "foreach", "differentiable")


def build_optimizer(node: Mapping[str, Any], groups: list[dict[str, Any]], fused: bool = False) -> Optimizer:
    """Build what the optimizer node says over the groups of a model.

    Args:
        node: the optimizer node.
        groups: of parameters.
        fused: take the fused implementation, where the optimizer has one and the node does not say otherwise.

    Raises:
        InputError: the optimizer refuses the node's values.
    """
    fused = fused and _has_fused(locate_target(node, "model.optimizer"))
    chosen = any(node.get(key) is not None for key in _CHOSEN)
    offered = {"fused": True} if fused and not chosen else {}
    optimizer: Optimizer = instantiate(node, "model.optimizer", groups, **offered)
    if groups[0]["params"][0].device.type == "cpu":
        _leave_cuda_alone(optimizer)
    return optimizer


def _leave_cuda_alone(optimizer: Optimizer) -> None:
    """Keep a step on the CPU from starting CUDA, which takes half a gigabyte of a GPU's memory.

    Adam asks at every step whether a graph of CUDA is being captured, wherever its weights are
    (https://github.com/pytorch/pytorch/pull/180453).
    """
    optimizer._accelerator_graph_capture_health_check = lambda: None  # type: ignore[method-assign]


def _has_fused(target: Any) -> bool:
    return isinstance(target, type) and issubclass(target, _FUSED)
