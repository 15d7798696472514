"""Write report.html at the end of a run."""

import logging
from pathlib import Path

import lightning as pl

from imageclf.callbacks.callback import Callback, Order
from imageclf.report import write_report

log = logging.getLogger(__name__)


class Report(Callback):
    """Write `report.html` from the files of the run directory."""

    order = Order.REPORT

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the report; by now the summary and the predictions are there."""
        if trainer.is_global_zero:
            log.info("report: %s", write_report(self._run_dir))
