"""Average weights or probabilities of several snapshots."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

State = dict[str, Tensor]


def average_weights(states: Sequence[State]) -> State:
    """Return the mean of state dicts, tensor by tensor; integer tensors are the last one's.

    Batch norm statistics are averaged like the weights.

    Source: averaging the weights before the restarts, lesson 2; https://arxiv.org/abs/1803.05407.

    Raises:
        ValueError: there is no state dict.
    """
    if not states:
        raise ValueError("average_weights needs at least one state dict")
    return {name: _mean([state[name] for state in states]) for name in states[-1]}


def blend(average: State, state: State, count: int) -> State:
    """Return the average of `count + 1` state dicts from that of `count`, at least 1, and one more.

    Integer tensors are those of the one that is added.
    """
    return {name: _blend(average[name], tensor, count) for name, tensor in state.items()}


def follow(average: State, state: State, decay: float) -> None:
    """Move an average in place towards the newest weights, and keep the share `decay` of it, 0 to 1.

    Integer tensors become those of the newest weights.
    """
    floating = [name for name, tensor in state.items() if tensor.is_floating_point()]
    for name in state.keys() - floating:
        average[name].copy_(state[name])
    # All tensors at once: a kernel for each would keep a GPU waiting at every step.
    move = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    move([average[name] for name in floating], [state[name] for name in floating], None)


def average_probabilities(probabilities: Sequence[np.ndarray]) -> np.ndarray:
    """Return the mean of probabilities `[N, C]` over models or views.

    Source: Snapshot Ensembles, equation 3, https://arxiv.org/abs/1704.00109.
    """
    return np.asarray(np.mean(np.stack(probabilities), axis=0))


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    if not tensors[-1].is_floating_point():
        return tensors[-1].clone()
    # In double, so that the mean of equal tensors is equal to them.
    return torch.stack([tensor.double() for tensor in tensors]).mean(0).to(tensors[-1].dtype)


def _blend(average: Tensor, tensor: Tensor, count: int) -> Tensor:
    if not tensor.is_floating_point():
        return tensor.clone()
    return torch.lerp(average.double(), tensor.double(), 1 / (count + 1)).to(tensor.dtype)
