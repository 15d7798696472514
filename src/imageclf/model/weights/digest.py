"""A hash of weights, to know whether results made with them still hold."""

import hashlib

import torch
from torch import nn


def weights_digest(module: nn.Module) -> str:
    """Return a hash of a module's parameters and buffers, by name, type, shape and value."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {values.dtype} {tuple(values.shape)}\n".encode())
        digest.update(values.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
