"""The one door that trains: all it is given is the run directory, after a kill and on many ranks too."""

import logging
import sys
from pathlib import Path

import lightning as pl
from lightning.pytorch.utilities.exceptions import SIGTERMException

from imageclf import Preempted
from imageclf.callbacks.checkpoint import newest_whole
from imageclf.configs import load_config
from imageclf.runs.build import build_callbacks, build_parts, build_trainer
from imageclf.runs.interrupts import noted
from imageclf.runs.logs import log_to_file
from imageclf.runs.table import table_of_run

log = logging.getLogger(__name__)


def run(run_dir: Path) -> None:
    """Train the run of `run_dir/config.yaml`, from its newest whole checkpoint if it has one.

    Raises:
        InputError: a mistake in the config or the data.
        Preempted: SIGTERM came.
    """
    log_to_file(run_dir)
    config = load_config(run_dir / "config.yaml")
    # For the head's first weights; every later draw is seeded by its position.
    pl.seed_everything(config["seed"], verbose=False)
    parts = build_parts(config, table_of_run(run_dir, config["data"]))
    callbacks = build_callbacks(config, parts.schedule, run_dir)
    if config["model"]["weights"] == "none":
        log.warning("model.weights=none: THE BODY STARTS FROM RANDOM WEIGHTS, not from a pretrained model")
    given = config["ckpt_path"] if config["ckpt_path"] != "auto" else None
    # A restarted job goes on whatever its command line said the first time.
    checkpoint = newest_whole(run_dir / "checkpoints") or given
    try:
        with noted() as interrupts:
            callbacks.append(interrupts)
            trainer = build_trainer(
                config, parts.schedule.epochs, run_dir, callbacks, parts.data.has_validation
            )
            trainer.fit(parts.module, datamodule=parts.data, ckpt_path=checkpoint, weights_only=True)
    except SIGTERMException as error:
        # A SystemExit without a code: it would pass for a run that is done.
        raise Preempted(f"ended by SIGTERM; go on with hydra.run.dir={run_dir} ckpt_path=auto") from error


if __name__ == "__main__":
    run(Path(sys.argv[1]))
