"""Decide together with all ranks, without waiting for the device."""

from collections import deque
from typing import NamedTuple

import lightning as pl
import torch
from torch import Tensor

# How many votes later one is read, by type of device. Reading the newest one would make a GPU finish its
# queue at every step; two steps later it has arrived.
LAGS = {"cuda": 2}


class _Vote(NamedTuple):
    """A vote that may not have arrived yet; `counted` is complete once `done` is."""

    counted: Tensor
    done: "torch.cuda.Event | None"

    def read(self) -> tuple[bool, bool]:
        """Return (late, asked) as counted over all ranks; wait for a vote that has not arrived."""
        if self.done is not None:
            self.done.synchronize()
        late, asked = self.counted.tolist()
        return bool(late), bool(asked)


class Votes:
    """Ask at each safe point whether a save is late by the first rank's clock, and whether a rank is to end.

    Several ranks take an all-reduce of two numbers each time. All of them read the same votes at the same
    safe points, so they decide alike.
    """

    def __init__(self) -> None:
        self._pending: deque[_Vote] = deque()

    def ask(self, trainer: pl.Trainer, late: bool, asked: bool) -> tuple[bool, bool]:
        """Return (late, asked) of a vote some safe points ago; (False, False) if none is old enough."""
        if trainer.world_size == 1:
            return late, asked
        self._pending.append(_cast(trainer, late, asked))
        lag = LAGS.get(trainer.strategy.root_device.type, 0)
        return self._pending.popleft().read() if len(self._pending) > lag else (False, False)

    def ask_now(self, trainer: pl.Trainer, late: bool, asked: bool) -> tuple[bool, bool]:
        """Return (late, asked) of now; for an epoch's end, which waits for the device anyway."""
        self.clear()
        return (late, asked) if trainer.world_size == 1 else _cast(trainer, late, asked).read()

    def clear(self) -> None:
        """Drop pending votes: after a save the clock restarts, and signals are asked for again."""
        self._pending.clear()


def _cast(trainer: pl.Trainer, late: bool, asked: bool) -> _Vote:
    device = trainer.strategy.root_device
    # The clocks of the ranks differ, so the first one's counts; a signal may reach any of them.
    votes = torch.tensor([late and trainer.is_global_zero, asked], dtype=torch.int32)
    if device.type == "cuda":
        votes = votes.pin_memory()
    votes = votes.to(device, non_blocking=True)
    torch.distributed.all_reduce(votes, op=torch.distributed.ReduceOp.MAX)
    # Into pinned memory, which torch uses for a copy that does not block.
    counted, done = votes.to("cpu", non_blocking=True), None
    if device.type == "cuda":
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        done.record()
    return _Vote(counted, done)
