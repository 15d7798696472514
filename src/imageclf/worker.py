"""The one door that trains: all it is given is the run directory, after a kill and on many ranks too.

`python -m imageclf.worker RUN_DIR` is the door for tasks that srun or torchrun start. It builds no code of
others: `trust=mine,theirs` allows modules, and the script that `cluster.print=true` writes has it.
"""

import logging
import sys
from contextlib import nullcontext
from pathlib import Path

import lightning as pl

from imageclf import InputError
from imageclf.callbacks.checkpoint import newest_whole
from imageclf.callbacks.compile_log import CompileLog
from imageclf.callbacks.finish import Finish
from imageclf.callbacks.preemption import Preemption
from imageclf.configs import load_config, read_config, recorded, run_main
from imageclf.configs.trust import Trust, check_target, targets_of
from imageclf.data.signals import Notice, noted
from imageclf.runs.build import build_callbacks, build_parts, build_trainer
from imageclf.runs.failure import noted_failure
from imageclf.runs.launched import World
from imageclf.runs.lock import held
from imageclf.runs.logs import log_to_file
from imageclf.runs.machine_facts import LogMachine
from imageclf.runs.requeue import requeued
from imageclf.runs.table import table_of_run

log = logging.getLogger(__name__)


def run(run_dir: Path, interruptible: bool = True) -> None:
    """Train the run of `run_dir/config.yaml`, from its newest whole checkpoint if it has one.

    Args:
        run_dir: of the run.
        interruptible: whether Ctrl-C ends this process; False in a rank, whose parent decides.

    Raises:
        InputError: a mistake in the config or the data.
        Preempted: SIGTERM, SIGUSR1 or SIGUSR2 came.
    """
    log_to_file(run_dir)
    with noted(run_dir, interruptible) as notice:
        _train(run_dir, notice)


def _train(run_dir: Path, notice: Notice) -> None:
    config = load_config(run_dir / "config.yaml")
    # For the head's first weights; every later draw is seeded by its position.
    pl.seed_everything(config["seed"], verbose=False)
    parts = build_parts(config, table_of_run(run_dir, config))
    callbacks = build_callbacks(config, parts.schedule, run_dir, notice=notice)
    if config["model"]["weights"] == "none":
        log.warning("model.weights=none: THE BODY STARTS FROM RANDOM WEIGHTS, not from a pretrained model")
    compile_log = [CompileLog(parts.schedule)] if config["model"]["compile"] is not None else []
    given = config["ckpt_path"] if config["ckpt_path"] != "auto" else None
    # A restarted job goes on whatever its command line said the first time.
    checkpoint = newest_whole(run_dir / "checkpoints") or given
    trainer = build_trainer(
        config,
        parts.schedule.epochs,
        run_dir,
        [Finish(notice), *callbacks, LogMachine(), *compile_log, Preemption(notice)],
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
    given = [each for each in sys.argv[1:] if not each.startswith("trust=")]
    if len(given) != 1 or not Path(given[0], "config.yaml").is_file():
        raise InputError(f"{' '.join(sys.argv[1:])}: give one run directory, which holds config.yaml")
    trusted = [
        each.removeprefix("trust=").strip("[]").split(",") for each in sys.argv[1:] if each not in given
    ]
    check_code(Path(given[0]), [name.strip() for names in trusted for name in names])
    task(Path(given[0]))


def check_code(run_dir: Path, trust: Trust) -> None:
    """Refuse a run directory whose config names code that is neither ours nor trusted.

    What comes from the environment is the user's choice here: whoever made the run has composed it so.

    Raises:
        InputError: it does.
    """
    source = run_dir / "config.yaml"
    for key, name in targets_of(read_config(source)):
        check_target(name, key, trust, source)


if __name__ == "__main__":
    run_main(job)
