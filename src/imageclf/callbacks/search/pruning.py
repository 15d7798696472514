"""Report a trial's score at the end of each cycle, and end the run if the search prunes it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as pl
import optuna

from imageclf import InputError
from imageclf.callbacks.callback import Callback, Order
from imageclf.callbacks.search.trial import build_pruner, cycles_done, is_pruned, open_storage
from imageclf.schedule import RunState, Schedule
from imageclf.system.errors import Pruned


class Pruning(Callback):
    """Report the score of each cycle but the last, and end the run before the next one if it is pruned.

    The verdict is a function of (trial, cycle), which a run that was killed and goes on finds in the journal
    of the study. A search adds this callback to each of its runs.

    Args:
        storage: path of the journal, from the run directory.
        study: name of the study.
        trial: number of the trial.
        metric: the score of an epoch that the search optimizes.
        pruner: median or hyperband.
        options: arguments of the pruner.

    Raises:
        InputError: there is no such journal.
        Pruned: when the epoch after such a cycle starts.
    """

    order = Order.JUDGE

    def __init__(
        self,
        schedule: Schedule,
        state: RunState,
        run_dir: Path,
        storage: str,
        study: str,
        trial: int,
        metric: str,
        pruner: str,
        options: Mapping[str, Any],
    ) -> None:
        self._schedule, self._state, self._metric, self._trial = schedule, state, metric, trial
        path = Path(os.path.normpath(run_dir.absolute() / storage))
        if not path.is_file():
            raise InputError(f"callbacks.pruning.storage={storage}: there is no journal {path}")
        self._study = optuna.load_study(
            study_name=study, storage=open_storage(path), pruner=build_pruner(pruner, options)
        )

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End the run if it was pruned after the cycle that ended before this epoch."""
        cycle = cycles_done(self._schedule, trainer.current_epoch - 1) if trainer.current_epoch else None
        if cycle is not None and self._is_pruned(trainer, cycle, None):
            raise Pruned(
                f"the search ended it after cycle {cycle}, because its {self._metric} was too far behind"
            )

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report a cycle that ends with this epoch, whose files are still to be written."""
        cycle = cycles_done(self._schedule, trainer.current_epoch)
        is_last = trainer.current_epoch + 1 == self._schedule.epochs
        if cycle is not None and not is_last:
            self._is_pruned(trainer, cycle, self._state.scores.get(self._metric))

    def _is_pruned(self, trainer: pl.Trainer, cycle: int, score: float | None) -> bool:
        """Let the first rank ask for all."""
        verdict = trainer.is_global_zero and is_pruned(self._study, self._trial, cycle, score)
        return bool(trainer.strategy.broadcast(verdict))
