"""Seed every random generator at every batch from the position, so that resuming changes no draw."""

import random
from typing import Any

import lightning as pl
import numpy as np
import torch

from imageclf.callbacks.callback import Callback, Order


def position_seed(*position: int) -> int:
    """Return a hash of 63 bits of a position such as (seed, epoch, batch, rank)."""
    # Neighbouring positions must give unrelated draws, which a sum or product would not.
    words = np.random.SeedSequence(position).generate_state(2, np.uint32)
    return (int(words[0]) << 31) ^ int(words[1])


def seed_all(seed: int) -> None:
    """Seed Python, NumPy and torch on every device."""
    random.seed(seed)
    # NumPy's legacy generator takes 32 bits.
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


class Reproducible(Callback):
    """Make dropout and all other draws on the device a function of (seed, epoch, batch, rank)."""

    order = Order.SEED

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed from the position."""
        seed_all(position_seed(self._seed, trainer.current_epoch, batch_idx, trainer.global_rank))
