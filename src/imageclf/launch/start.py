"""What a Hydra job does: check the config, make the run directory, train."""

import logging
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from imageclf import InputError
from imageclf.configs import own_modules, read_config, read_object, to_plain
from imageclf.configs.plain import Plain
from imageclf.launch.ranks import run_ranks
from imageclf.launch.slurm.requeue import requeue_when_preempted
from imageclf.launch.tasks import broadcasting, train_broadcast_run
from imageclf.system.locks import locked
from imageclf.system.printable import show
from imageclf.system.signals import stop_notice
from imageclf.system.world import World
from imageclf.training.budget.fit import check_budget
from imageclf.training.closing import RESULTS, closing_words
from imageclf.training.directory import check_directory, prepare
from imageclf.training.door import fit
from imageclf.training.extras import announce, check_tags
from imageclf.training.failure import record_failure
from imageclf.training.location import check_location, has_begun, remove_refused_run
from imageclf.training.logs import log_to_file
from imageclf.training.parts.accelerator import num_ranks, total_ranks
from imageclf.training.parts.metrics import check_scores, lower_is_better
from imageclf.training.parts.scaled_lrs import scaling_words
from imageclf.training.parts.shared_batches import for_ranks
from imageclf.training.parts.table import check_held_out, table_of_run
from imageclf.training.run_config import RunConfig, parse, read_run_config

log = logging.getLogger(__name__)


def start(cfg: DictConfig, run_dir: Path) -> float | None:
    """Train the config of a job of Hydra, print the run directory, and return the optimized metric.

    None where there is no such score, and in the tasks that do not lead the run.

    Raises:
        InputError: as in `train_composed`.
        Preempted: as in `train_composed`.
    """
    if not train_composed(cfg, run_dir, list(HydraConfig.get().overrides.task)):
        return None
    # Scripts take the last line of the output for the run directory.
    show(run_dir)
    return score_of(run_dir, cfg.optimized_metric)


def train_composed(cfg: DictConfig, run_dir: Path, overrides: list[str]) -> bool:
    """Train a composed config, and return whether this process led the run: it is the first of its tasks.

    Raises:
        InputError: a mistake in the config or the data, or another job holds the run directory.
        Preempted: a signal ended the run; a job of SLURM is requeued by then.
    """
    world = World.of_process()
    # A launcher of Hydra's may start this function in every task.
    if world.rank > 0:
        train_broadcast_run()
        return False
    with broadcasting(world) as broadcast:
        _lead(cfg, run_dir, overrides, broadcast)
    return True


def _lead(cfg: DictConfig, run_dir: Path, overrides: list[str], broadcast: Callable[[Path], None]) -> None:
    try:
        check_location(run_dir)
    except InputError:
        remove_refused_run(run_dir)
        raise
    # A refusal to resume is no failure of the run that is there.
    recording = nullcontext if has_begun(run_dir) else partial(record_failure, run_dir)
    with recording():
        plain = to_plain(cfg)
        config = check_job(cfg, plain, run_dir, overrides)
    # In this order the lock is released before the job is requeued: its next start needs it.
    with requeue_when_preempted(), locked(run_dir):
        with recording():
            is_left = prepare(cfg, run_dir, overrides, plain)
        # Of a finished run, too: a rank may have been killed after everything was written.
        with record_failure(run_dir):
            if not is_left:
                log.info("%s is finished already", run_dir)
                return
            announce(run_dir, config)
            train(run_dir, broadcast)
            _close(run_dir)


def _close(run_dir: Path) -> None:
    """Log the result and what comes next."""
    summary = read_object(run_dir / "summary.json")
    # A debug run may have none.
    written = [name for name in RESULTS if (run_dir / name).exists()]
    modules = own_modules(read_config(run_dir / "config.yaml"))
    lines = closing_words(run_dir, summary, written, modules) if summary else []
    for line in lines:
        log.info("%s", line)


def score_of(run_dir: Path, metric: str | None) -> float | None:
    """Return a metric of a finished run; None where it has none of that name."""
    score = read_object(run_dir / "summary.json").get(metric or "")
    return float(score) if score is not None else None


def check_job(cfg: DictConfig, plain: Plain, run_dir: Path, overrides: list[str]) -> RunConfig:
    """Return the parsed config; refuse all that can be before a picture is read or anything is written.

    `plain` is the same config as plain values.

    Raises:
        InputError: a mistake in the config, or the directory holds another run.
    """
    config = parse(plain, RunConfig)
    check_top(config)
    for_ranks(config, os.environ)
    check_directory(cfg, run_dir, overrides)
    return config


def check_top(config: RunConfig) -> None:
    """Refuse resume_sweep without -m, missing tags, an illegal budget, and a search for the worst run."""
    check_tags(config)
    if config.resume_sweep is not None:
        raise InputError(
            f"resume_sweep={config.resume_sweep}: it resumes a sweep, so give -m and what it swept; "
            "a single run is resumed by hydra.run.dir=PATH ckpt_path=auto"
        )
    check_scores(config)
    check_budget(config)
    metric = config.optimized_metric
    if metric is not None:
        check_direction(metric, "minimize" if lower_is_better(metric, config) else "maximize")


def check_direction(metric: str, direction: str) -> None:
    """Refuse a search that would end with the worst run: optuna's sweeper minimizes unless told otherwise."""
    sweeper = HydraConfig.get().sweeper if HydraConfig.initialized() else {}
    given = sweeper.get("direction")
    # The plugin has it as a name or as an enum; several are those of several metrics.
    if getattr(given, "name", given) in {"minimize", "maximize"} - {direction}:
        raise InputError(
            f"hydra.sweeper.direction={getattr(given, 'name', given)} looks for the worst "
            f"optimized_metric={metric}: give hydra.sweeper.direction={direction}"
        )


def train(run_dir: Path, broadcast: Callable[[Path], None] = lambda run_dir: None) -> None:
    """Train a run directory in this process, in one process per rank, or as one of an outer launcher's tasks.

    `broadcast` tells the other tasks the run directory.
    """
    given = read_run_config(run_dir)
    scaling = scaling_words(given, total_ranks(given.trainer))
    if scaling:
        log.info("%s", scaling)
    config = for_ranks(given, os.environ)
    ranks, launched = checked_ranks(config.trainer, World.of_process()), World.of_process().size > 1
    # Reading all pictures takes long; a signal ends it at once.
    with stop_notice(run_dir) as notice:
        # Before any rank starts: all of them read the same split.csv.
        table = table_of_run(run_dir, config)
        check_held_out(table, ranks)
        broadcast(run_dir)
        if ranks == 1 or launched:
            log_to_file(run_dir)
            fit(run_dir, config, table, notice)
        else:
            run_ranks(run_dir, ranks)


def checked_ranks(trainer: Mapping[str, Any], world: World) -> int:
    """Return how many processes train, over all nodes.

    `world` is what an outer launcher has started.

    Raises:
        InputError: the node asks for another number.
    """
    ranks, devices, nodes = total_ranks(trainer), num_ranks(trainer), int(trainer.get("num_nodes") or 1)
    if world.size > 1 and ranks != world.size:
        raise InputError(
            f"trainer.devices={devices} and trainer.num_nodes={nodes} make {ranks} ranks, and "
            f"srun or torchrun started {world.size} tasks: make them equal"
        )
    if world.size == 1 and nodes > 1:
        raise InputError(
            f"trainer.num_nodes={nodes}: this command starts ranks on one machine; start a task per rank "
            "with srun or torchrun"
        )
    return ranks
