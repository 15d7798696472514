"""Callbacks that jobs carry, added by their _target_ as a user's own would be."""

from typing import Any

import lightning as pl


class FailWithSeed(pl.Callback):
    """Raise in the second epoch of the run with one seed."""

    def __init__(self, seed: int, bad: int) -> None:
        self._fails = seed == bad

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if self._fails and trainer.current_epoch == 1:
            raise RuntimeError("failed on purpose")
