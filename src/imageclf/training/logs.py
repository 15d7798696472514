"""Where messages go: the terminal and train.log, from the first rank only."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from imageclf.system.printable import log_printable
from imageclf.system.world import is_first_task

# Warnings of our dependencies that a user can do nothing about.
UPSTREAM_WARNINGS = (
    # Lightning's pytree helper, https://github.com/Lightning-AI/pytorch-lightning/pull/21219.
    ".*isinstance.treespec, LeafSpec.. is deprecated.*",
    # Lightning's all_gather.
    ".*torch.distributed.nn.functional.all_gather is deprecated.*",
    # Lightning wraps the model on another stream, https://github.com/Lightning-AI/pytorch-lightning/pull/21746.
    ".*The AccumulateGrad node's stream does not match.*",
    # Lightning, wherever SLURM is installed: a training on a workstation or login node needs no srun.
    ".*The `srun` command is available on your system but is not used.*",
)

_CHATTY = {
    # Lightning's tips and device lists are no news.
    "lightning.pytorch": logging.WARNING,
    "lightning.fabric": logging.WARNING,
    # Nor is it that a new database gets its tables and its first experiment.
    "lightning.pytorch.loggers.mlflow": logging.ERROR,
    "mlflow.store.db.utils": logging.WARNING,
}


def log_to_file(run_dir: Path) -> None:
    """Send messages to `train.log` and the terminal, unless Hydra has already set that up."""
    log_printable()
    _quieten()
    root = logging.getLogger()
    if root.handlers:
        return
    root.setLevel(logging.INFO if is_first_task(os.environ) else logging.ERROR)
    for handler in (logging.StreamHandler(), logging.FileHandler(run_dir / "train.log")):
        _add(handler)


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out what our dependencies say of themselves inside the block, and restore all afterwards."""
    loggers = [logging.getLogger(name) for name in _CHATTY]
    levels, records = [each.level for each in loggers], logging.getLogRecordFactory()
    with warnings.catch_warnings():
        try:
            log_printable()
            _quieten()
            yield
        finally:
            logging.setLogRecordFactory(records)
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


@contextmanager
def logged(file: Path | None) -> Iterator[None]:
    """Log inside the block as a command does, and restore all afterwards.

    A program that has set up its logging gets the messages its own way; else they go to standard output.

    The file, if there is one, gets them, too.
    """
    root = logging.getLogger()
    handlers: list[logging.Handler] = [] if root.handlers else [logging.StreamHandler(sys.stdout)]
    handlers += [] if file is None else [logging.FileHandler(file)]
    level = root.level
    root.setLevel(min(level, logging.INFO))
    for handler in handlers:
        _add(handler)
    try:
        with quiet():
            yield
    finally:
        root.setLevel(level)
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()


def _quieten() -> None:
    for message in UPSTREAM_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    for name, level in _CHATTY.items():
        logging.getLogger(name).setLevel(level)


def _add(handler: logging.Handler) -> None:
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.getLogger().addHandler(handler)
