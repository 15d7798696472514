"""Try something on a model in training, and leave weights, optimizer and generators bitwise as they were."""

import copy
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer


@contextmanager
def preserved(module: nn.Module, optimizer: Optimizer) -> Iterator[None]:
    """Restore parameters, buffers, gradients, modes, optimizer and every random generator on leaving.

    Everything is kept in memory, so two runs in one directory cannot meet.
    """
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    gradients = [(parameter, parameter.grad) for parameter in module.parameters()]
    modes = [(part, part.training) for part in module.modules()]
    # A copy: load_state_dict would keep the very tensors that the trial changes.
    optimizer_state = copy.deepcopy(optimizer.state_dict())
    generators = _generator_states()
    try:
        for parameter, _ in gradients:
            parameter.grad = None
        yield
    finally:
        module.load_state_dict(state)
        optimizer.load_state_dict(optimizer_state)
        for parameter, gradient in gradients:
            parameter.grad = gradient
        for part, mode in modes:
            part.training = mode
        _restore_generators(generators)


def _generator_states() -> tuple[object, ...]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return random.getstate(), np.random.get_state(), torch.get_rng_state(), cuda


def _restore_generators(states: tuple[object, ...]) -> None:
    python, numpy, cpu, cuda = states
    random.setstate(python)  # type: ignore[arg-type]
    np.random.set_state(numpy)  # type: ignore[arg-type]
    torch.set_rng_state(cpu)  # type: ignore[arg-type]
    if cuda:
        torch.cuda.set_rng_state_all(cuda)  # type: ignore[arg-type]
