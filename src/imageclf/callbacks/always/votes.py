"""Decide together with all ranks, and let no device wait for the decision."""

from collections import deque
from typing import NamedTuple

import lightning as pl
import torch
from torch import Tensor

# Votes that are still under way when one is read, by type of device. Reading the newest one would make a
# GPU finish its queue at every step; two steps later it is there.
LAGS = {"cuda": 2}


class _Cast(NamedTuple):
    """A vote that may still be under way; `counted` is complete once `done` is."""

    counted: Tensor
    done: "torch.cuda.Event | None"

    def read(self) -> tuple[bool, bool]:
        if self.done is not None:
            self.done.synchronize()
        late, asked = self.counted.tolist()
        return bool(late), bool(asked)


class Votes:
    """Ask at each safe point whether the first rank's clock says to save, and whether any rank is to end.

    One process answers from memory. Several take an all-reduce of two numbers each time. All ranks read the
    same votes at the same safe points, so they decide alike.
    """

    def __init__(self) -> None:
        self._under_way: deque[_Cast] = deque()

    def ask(self, trainer: pl.Trainer, late: bool, asked: bool) -> tuple[bool, bool]:
        """Return (late, asked) of a vote some safe points ago; (False, False) where none is old enough."""
        if trainer.world_size == 1:
            return late, asked
        self._under_way.append(_cast(trainer, late, asked))
        lag = LAGS.get(trainer.strategy.root_device.type, 0)
        return self._under_way.popleft().read() if len(self._under_way) > lag else (False, False)

    def ask_now(self, trainer: pl.Trainer, late: bool, asked: bool) -> tuple[bool, bool]:
        """Return (late, asked) of this moment; for an epoch's end, where the device is waited for anyway."""
        self.forget()
        return (late, asked) if trainer.world_size == 1 else _cast(trainer, late, asked).read()

    def forget(self) -> None:
        """Drop what is under way: after a save the clock starts anew, and a signal is asked for again."""
        self._under_way.clear()


def _cast(trainer: pl.Trainer, late: bool, asked: bool) -> _Cast:
    device = trainer.strategy.root_device
    votes = torch.tensor([late and trainer.is_global_zero, asked], dtype=torch.int32)
    if device.type == "cuda":
        votes = votes.pin_memory()
    votes = votes.to(device, non_blocking=True)
    torch.distributed.all_reduce(votes, op=torch.distributed.ReduceOp.MAX)
    # To pinned memory, which torch takes for a copy that does not block.
    counted, done = votes.to("cpu", non_blocking=True), None
    if device.type == "cuda":
        done = torch.cuda.Event()  # type: ignore[no-untyped-call]
        done.record()
    return _Cast(counted, done)
