"""Callbacks that jobs carry, added by their _target_ as a user's own would be."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import lightning as pl

from imageclf.system.signals import Notice


class FailWithSeed(pl.Callback):
    """Raise in the second epoch of the run with one seed; with another one be killed, as for its memory."""

    def __init__(self, seed: int, bad: int, killed: int) -> None:
        self._fails = seed == bad
        self._is_killed = seed == killed

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if self._fails and trainer.current_epoch == 1:
            raise RuntimeError("failed on purpose")
        if self._is_killed and trainer.current_epoch == 1:
            os.kill(os.getpid(), signal.SIGKILL)


class WaitForSignal(pl.Callback):
    """Hold the run at one batch of its first start, until a signal comes or the process is killed."""

    def __init__(self, run_dir: Path, notice: Notice, epoch: int, batch: int) -> None:
        self._held = run_dir / "held"
        self._notice = notice
        self._at = (epoch, batch)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if (trainer.current_epoch, batch_idx) != self._at or self._held.exists():
            return
        self._held.touch()
        deadline = time.monotonic() + 900
        while self._notice.came is None and time.monotonic() < deadline:
            time.sleep(0.02)
