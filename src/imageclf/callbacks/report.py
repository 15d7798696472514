"""Write report.html at the end of a run."""

import logging
from pathlib import Path
from typing import Literal

import lightning as pl

from imageclf.callbacks.callback import Callback, Order
from imageclf.report import write_report
from imageclf.schedule import RunState

log = logging.getLogger(__name__)


class Report(Callback):
    """Write `report.html` from the files of the run directory.

    Args:
        state: of the run; is told which candidate the files at the end are made by.
        model: best: the candidate that did best on validation; final: the weights after the last step.
    """

    order = Order.REPORT

    # The default is that of runs whose config was written before there was a choice.
    def __init__(self, run_dir: Path, state: RunState, model: Literal["best", "final"] = "best") -> None:
        self._run_dir = run_dir
        self._state = state
        self._model = model

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Say which model is reported, before anything is compared."""
        self._state.reports = self._model

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the report; by now the summary and the predictions are there."""
        if trainer.is_global_zero:
            log.info("report: %s", write_report(self._run_dir))
