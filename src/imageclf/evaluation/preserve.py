"""Use a model in the middle of its training, and restore weights, optimizer and generators bit for bit."""

import copy
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

# Types of devices with their own random generator.
_WITH_GENERATORS = ("cuda", "mps")


@contextmanager
def preserved(module: nn.Module, optimizer: Optimizer) -> Iterator[None]:
    """Restore parameters, buffers, gradients, modes, optimizer and every random generator on leaving.

    Everything is kept in memory, not in files.
    """
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    gradients = [(parameter, parameter.grad) for parameter in module.parameters()]
    modes = [(part, part.training) for part in module.modules()]
    # A copy: load_state_dict would keep the tensors that are changed inside.
    optimizer_state = copy.deepcopy(optimizer.state_dict())
    device = next(module.parameters()).device
    generators = _generator_states(device)
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
        _restore_generators(generators, device)


def _generator_states(device: torch.device) -> tuple[object, ...]:
    # Only the module's own device: reading the others would initialise CUDA on each of them.
    has_own = device.type in _WITH_GENERATORS
    own = torch.get_device_module(device).get_rng_state(device) if has_own else None
    return random.getstate(), np.random.get_state(), torch.get_rng_state(), own


def _restore_generators(states: tuple[object, ...], device: torch.device) -> None:
    python, numpy, cpu, own = states
    random.setstate(python)  # type: ignore[arg-type]
    np.random.set_state(numpy)  # type: ignore[arg-type]
    torch.set_rng_state(cpu)  # type: ignore[arg-type]
    if own is not None:
        torch.get_device_module(device).set_rng_state(own, device)
