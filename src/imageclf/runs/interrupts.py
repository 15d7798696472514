"""Ctrl-C that is not lost."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import lightning as pl


class Interrupts(pl.Callback):
    """Raise KeyboardInterrupt at the next batch if Ctrl-C was pressed and its exception was lost.

    Python drops an exception that a signal raises inside a destructor or a weak reference's callback.
    """

    def __init__(self) -> None:
        self._came = False

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Raise what was lost."""
        if self._came:
            raise KeyboardInterrupt

    def note(self, number: int, frame: FrameType | None) -> None:
        """Note the signal and raise, as Python's own handler does."""
        self._came = True
        raise KeyboardInterrupt


@contextmanager
def noted() -> Iterator[Interrupts]:
    """Note every Ctrl-C inside the block, and restore the handler afterwards."""
    interrupts = Interrupts()
    # Signals reach the main thread alone, and only it may say what happens then.
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    before = signal.signal(signal.SIGINT, interrupts.note)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)
