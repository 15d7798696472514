"""Freeze and unfreeze layer groups as the schedule says, on every rank and after a resume."""

import lightning as pl
import torch
from lightning.pytorch.strategies import DDPStrategy
from torch import nn
from torch.optim import Optimizer

from imageclf.callbacks.callback import Callback, Order
from imageclf.model.groups import freeze_to
from imageclf.model.module import ClassifierModule
from imageclf.schedule import Schedule


class Unfreezing(Callback):
    """Apply the phase's `unfreeze_to` and `bn`, and start each phase with fresh optimizer state.

    Source: `learn.freeze_to(n)` and the new optimizer of every `learn.fit` of fastai 0.7.
    """

    order = Order.FREEZE
    is_required = True

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Apply the phase: a run that resumes inside an epoch has no epoch start."""
        self._freeze(trainer, pl_module)
        rewrap(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Apply the phase; at its start wrap the module anew and reset the optimizer."""
        self._freeze(trainer, pl_module)
        if self._schedule.at(trainer.current_epoch).is_phase_start:
            rewrap(trainer, pl_module)
            for optimizer in trainer.optimizers:
                reset(optimizer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let all ranks validate the same network."""
        sync_buffers(pl_module)

    def _freeze(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if not isinstance(module, ClassifierModule):
            raise TypeError(f"Unfreezing needs a ClassifierModule, got {type(module).__name__}")
        phase = self._schedule.at(trainer.current_epoch).phase
        # Every epoch, though phases alone change it: validation may leave other modes behind.
        first = phase.first_trainable(module.groups.names)
        freeze_to(module.model, module.groups, first, train_bn=phase.bn == "train")


def reset(optimizer: Optimizer) -> None:
    """Clear the optimizer's state, also that of its groups, where timm's Lamb counts its steps."""
    optimizer.state.clear()
    given = {"params", "name", "depth", *optimizer.defaults}
    for group in optimizer.param_groups:
        for key in group.keys() - given:
            del group[key]


def rewrap(trainer: pl.Trainer, module: pl.LightningModule) -> None:
    """Wrap the module for DDP anew: it reads which parameters train only when it wraps.

    Otherwise the gradients of groups that are unfrozen later are not averaged, and the ranks drift apart
    (https://github.com/Lightning-AI/pytorch-lightning/issues/20340).
    """
    # A single process has no wrapper.
    if isinstance(trainer.strategy, DDPStrategy):
        trainer.strategy.model = module
        trainer.strategy.configure_ddp()
        sync_buffers(module)


def sync_buffers(module: nn.Module) -> None:
    """Copy the buffers of the first rank to all others: their batch norm statistics differ."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        for buffer in module.buffers():
            torch.distributed.broadcast(buffer, src=0)
