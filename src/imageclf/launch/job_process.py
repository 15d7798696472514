"""What the process of a sweep's job does: train the run as Hydra would in this process."""

import logging
import os
import signal
from pathlib import Path

from hydra._internal.callbacks import Callbacks
from hydra.core import utils
from hydra.core.hydra_config import HydraConfig
from hydra.types import HydraContext
from omegaconf import DictConfig, read_write

from imageclf.configs.streams import tolerate_closed_streams
from imageclf.launch.jobs import Job
from imageclf.launch.start import start
from imageclf.system.signals import STOPPING
from imageclf.training.failure import failure_of

log = logging.getLogger(__name__)


def run_job(job: Job, quiet: bool) -> float | None:
    """Run a job, and return its optimized metric.

    With `quiet` it prints into its log alone, because other jobs run at the same time.
    """
    # Nothing is worth saving before the training starts: until then a signal ends the process.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    tolerate_closed_streams()
    config = job.config
    if quiet:
        _print_into_log(job.run_dir, config.hydra)
    try:
        return _run(config)
    except BaseException as error:
        failure = failure_of(error)
        if failure.status not in ("interrupted", "pruned"):
            log.error("%s", failure.traceback or failure.line)
        raise


def _run(config: DictConfig) -> float | None:
    # What Hydra's own main has done by the time that it runs a job.
    utils.setup_globals()
    context = HydraContext(config_loader=None, callbacks=Callbacks(config))  # type: ignore[arg-type]
    result = utils.run_job(
        task_function=_train,
        config=config,
        job_dir_key="hydra.sweep.dir",
        job_subdir_key="hydra.sweep.subdir",
        hydra_context=context,
    )
    value: float | None = result.return_value
    return value


def _train(cfg: DictConfig) -> float | None:
    return start(cfg, Path(HydraConfig.get().runtime.output_dir))


def _print_into_log(run_dir: Path, hydra: DictConfig) -> None:
    """Redirect what the process prints into the job's log."""
    run_dir.mkdir(parents=True, exist_ok=True)
    path = run_dir / f"{hydra.job.name}.log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    # Hydra's console handler would write each message there a second time.
    root = hydra.job_logging.root
    with read_write(root):
        root.handlers = [name for name in root.handlers if name != "console"]
