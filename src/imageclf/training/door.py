"""The one function that trains: it needs only the run directory, also after a kill and on many ranks."""

import logging
import os
from pathlib import Path

import lightning as pl

from imageclf.callbacks.always.machine_log import CompileLog, LogMachine
from imageclf.callbacks.always.preemption import Finish, Preemption
from imageclf.callbacks.always.presence import Presence
from imageclf.callbacks.always.progress import ShowProgress
from imageclf.callbacks.checkpoint import newest_whole
from imageclf.data import Table
from imageclf.system.signals import Notice, stop_notice
from imageclf.training.build import build_callbacks, build_parts, build_trainer
from imageclf.training.logs import log_to_file
from imageclf.training.parts.loggers import build_loggers, opened
from imageclf.training.parts.shared_batches import for_ranks
from imageclf.training.parts.table import table_of_run
from imageclf.training.resumable import check_fits
from imageclf.training.run_config import RunConfig, read_run_config

log = logging.getLogger(__name__)


def run(run_dir: Path) -> None:
    """Train the run of `run_dir/config.yaml`, from its newest whole checkpoint if it has one.

    Raises:
        InputError: a mistake in the config or the data.
        Preempted: SIGTERM, SIGUSR1, SIGUSR2 or SIGHUP arrived.
        KeyboardInterrupt: Ctrl-C was pressed.
    """
    log_to_file(run_dir)
    config = for_ranks(read_run_config(run_dir), os.environ)
    with stop_notice(run_dir) as notice:
        fit(run_dir, config, table_of_run(run_dir, config), notice)


def fit(run_dir: Path, config: RunConfig, table: Table, notice: Notice) -> None:
    """Train a run whose config and table are read, as `run` does."""
    # For the head's first weights; every later draw is seeded by its position.
    pl.seed_everything(config.seed, verbose=False)
    parts = build_parts(config, table)
    # A signal is answered last: by then every callback has seen the batch, and the checkpoint holds it.
    callbacks: list[pl.Callback] = [
        Presence(run_dir),
        Finish(notice),
        *build_callbacks(config, parts.state, run_dir, notice=notice),
        LogMachine(),
        *([CompileLog(parts.schedule)] if config.model.compile is not None else []),
        ShowProgress(parts.schedule),
        Preemption(notice),
    ]
    if config.model.weights == "none" and isinstance(config.model.backbone, str):
        log.warning("model.weights=none: THE BODY STARTS FROM RANDOM WEIGHTS, not from a pretrained model")
    # A restarted job resumes, whatever its first command line was.
    own = newest_whole(run_dir / "checkpoints")
    given = Path(config.ckpt_path).expanduser() if config.ckpt_path not in (None, "auto") else None
    checkpoint = own or given
    loggers = build_loggers(config.logger or {}, run_dir)
    trainer = build_trainer(
        config.trainer,
        parts.schedule.epochs,
        run_dir,
        callbacks,
        list(loggers.values()),
        parts.data.has_validation,
    )
    if checkpoint is not None:
        check_fits(checkpoint, parts.module, parts.data, trainer.world_size, is_own=own is not None)
    # With fast_dev_run Lightning logs nothing.
    is_logged = trainer.is_global_zero and not trainer.fast_dev_run  # type: ignore[attr-defined]
    with opened(loggers if is_logged else {}, run_dir):
        # weights_only: a checkpoint may be a stranger's, and opening it must run no code.
        trainer.fit(parts.module, datamodule=parts.data, ckpt_path=checkpoint, weights_only=True)
