"""The one door that trains: all it is given is the run directory, after a kill and on many ranks too.

`python -m imageclf.worker RUN_DIR` is the door for tasks that srun or torchrun start.
"""

import logging
import sys
from contextlib import nullcontext
from pathlib import Path

import lightning as pl

from imageclf import InputError
from imageclf.callbacks.checkpoint import newest_whole
from imageclf.callbacks.preemption import Preemption
from imageclf.configs import load_config, recorded, run_main
from imageclf.data.signals import Notice, noted
from imageclf.runs.build import build_callbacks, build_parts, build_trainer
from imageclf.runs.failure import noted_failure
from imageclf.runs.launched import World
from imageclf.runs.lock import held
from imageclf.runs.logs import log_to_file
from imageclf.runs.requeue import requeued
from imageclf.runs.table import table_of_run

log = logging.getLogger(__name__)


def run(run_dir: Path) -> None:
    """Train the run of `run_dir/config.yaml`, from its newest whole checkpoint if it has one.

    Raises:
        InputError: a mistake in the config or the data.
        Preempted: SIGTERM, SIGUSR1 or SIGUSR2 came.
    """
    log_to_file(run_dir)
    with noted(run_dir) as notice:
        _train(run_dir, notice)


def _train(run_dir: Path, notice: Notice) -> None:
    config = load_config(run_dir / "config.yaml")
    # For the head's first weights; every later draw is seeded by its position.
    pl.seed_everything(config["seed"], verbose=False)
    parts = build_parts(config, table_of_run(run_dir, config))
    callbacks = build_callbacks(config, parts.schedule, run_dir, notice=notice)
    if config["model"]["weights"] == "none":
        log.warning("model.weights=none: THE BODY STARTS FROM RANDOM WEIGHTS, not from a pretrained model")
    given = config["ckpt_path"] if config["ckpt_path"] != "auto" else None
    # A restarted job goes on whatever its command line said the first time.
    checkpoint = newest_whole(run_dir / "checkpoints") or given
    trainer = build_trainer(
        config,
        parts.schedule.epochs,
        run_dir,
        [*callbacks, Preemption(notice)],
        parts.data.has_validation,
    )
    trainer.fit(parts.module, datamodule=parts.data, ckpt_path=checkpoint, weights_only=True)


def task(run_dir: Path) -> None:
    """Go through the door as one of the tasks that srun or torchrun started, or alone.

    Raises:
        InputError: as in `run`, or another job holds the directory.
        Preempted: as in `run`; a job of SLURM is requeued by then.
    """
    # The first task holds the directory for all: it is the one that writes there.
    is_first = World.of_process().rank == 0
    with requeued(), held(run_dir, is_first), noted_failure(run_dir) if is_first else nullcontext():
        run(run_dir)


@recorded
def job() -> None:
    """Go through the door with the command line's run directory."""
    if len(sys.argv) != 2 or not Path(sys.argv[1], "config.yaml").is_file():
        raise InputError(f"{' '.join(sys.argv[1:])}: give one run directory, which holds config.yaml")
    task(Path(sys.argv[1]))


if __name__ == "__main__":
    run_main(job)
