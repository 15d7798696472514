"""Batch norm of averaged weights: its running statistics have to be estimated again."""

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def refresh_norms(model: nn.Module, names: Collection[str], batches: Iterable[Tensor]) -> list[_BatchNorm]:
    """Estimate the running statistics of the named batch norms again in one pass, and return these norms.

    All batches, inputs of the model, have equal weight. The model is best in eval mode: dropout would add
    noise that predictions do not have. Modes and momenta are restored afterwards.

    Source: `torch.optim.swa_utils.update_bn`; without dropout, https://arxiv.org/abs/1801.05134.
    """
    parts = [part for name, part in model.named_modules() if name in names]
    norms = [part for part in parts if isinstance(part, _BatchNorm)]
    with torch.no_grad(), _measuring(norms):
        for batch in batches:
            model(batch)
    return norms


@contextmanager
def _measuring(norms: list[_BatchNorm]) -> Iterator[None]:
    """Reset the running statistics of norms, and let them average over all batches."""
    before = [(norm, norm.momentum, norm.training) for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        # Without a momentum all batches have equal weight.
        norm.momentum, norm.training = None, True
    try:
        yield
    finally:
        for norm, momentum, training in before:
            norm.momentum, norm.training = momentum, training
