"""From the recipe and the budget of a config to the lengths that its phases will have."""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from imageclf import InputError
from imageclf.configs import to_plain
from imageclf.schedule import Schedule
from imageclf.schedule.budget import Budget, Cost, fitted, shortest
from imageclf.system.progress import duration
from imageclf.system.signals import stop_notice
from imageclf.training.budget.probe import measure_pace
from imageclf.training.logs import quiet
from imageclf.training.parts.accelerator import total_ranks
from imageclf.training.parts.shared_batches import for_ranks
from imageclf.training.parts.table import read_table, stored_sides
from imageclf.training.run_config import RunConfig, parse

log = logging.getLogger(__name__)

# Of the trainer: what makes an epoch something else than all pictures once.
_CUT = ("fast_dev_run", "overfit_batches", "limit_train_batches", "max_steps", "max_time")


def fit_to_budget(cfg: DictConfig, run_dir: Path) -> None:
    """Set the lengths of a config's phases so that the run takes its budget; without one, do nothing.

    The config is changed in place, before its run begins.

    Raises:
        InputError: the budget is too small, or cannot be kept by such a run.
    """
    if cfg.get("budget") is None:
        return
    begun = time.monotonic()
    config = for_ranks(parse(to_plain(cfg), RunConfig), os.environ)
    check_budget(config)
    budget = Budget.read(str(config.budget))
    if budget.unit == "seconds":
        log.info("budget=%s: measuring how long the phases take", config.budget)
    with _silent(), stop_notice():
        cost = _cost(config, budget, run_dir)
    # Time that has passed by now is a part of it.
    spent = time.monotonic() - begun if budget.unit == "seconds" else 0.0
    least = spent + cost(shortest(config.schedule))
    if least > budget.amount:
        raise InputError(
            f"budget={config.budget}: with cycle_len=1 in every phase the run takes "
            f"{_words(least, budget)}; give more, or a schedule with fewer phases"
        )
    schedule = fitted(config.schedule, cost, budget.amount - spent)
    log.info("%s", _change(config, schedule, _words(spent + cost(schedule), budget)))
    for name, phase in schedule.phases.items():
        for key in ("cycle_len", "warmup"):
            # A phase of one's own may leave keys at their defaults.
            OmegaConf.update(cfg, f"schedule.phases.{name}.{key}", getattr(phase, key), force_add=True)


def check_budget(config: RunConfig) -> None:
    """Refuse a budget that cannot be read, or that the run cannot keep."""
    if config.budget is None:
        return
    budget = Budget.read(config.budget)
    cut = next((name for name in _CUT if config.trainer.get(name)), None)
    if cut is not None:
        raise InputError(
            f"budget={config.budget} with trainer.{cut}={config.trainer[cut]}: both say how long the run is; "
            "leave one of them out"
        )
    ranks = total_ranks(config.trainer)
    if budget.unit == "seconds" and (ranks > 1 or config.cluster is not None):
        where = f"on {ranks} ranks" if ranks > 1 else "as a job of a cluster"
        raise InputError(
            f"budget={config.budget}: time is measured by one process where the run trains, and this one "
            f"trains {where}; give a number of training pictures, such as budget=50000pictures"
        )


def _cost(config: RunConfig, budget: Budget, run_dir: Path) -> Cost:
    """Return what tells the cost of a schedule in the budget's unit."""
    if budget.unit == "seconds":
        # The run will find all of it done: that the pictures are whole, and their shrunk copies.
        return measure_pace(config, read_table(config.data, sides=stored_sides(config)), run_dir).seconds
    # None is opened: a run on a cluster is prepared where it is submitted. Broken ones make it shorter.
    pictures = len(read_table(config.data, verify=False).rows("train"))
    return lambda schedule: float(schedule.epochs * pictures)


@contextmanager
def _silent() -> Iterator[None]:
    """Silence what the run itself will log again."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with quiet():
            yield
    finally:
        logging.disable(before)


def _change(config: RunConfig, schedule: Schedule, whole: str) -> str:
    """Return in words how the lengths of a recipe have changed."""
    changes = [
        f"{name} {config.schedule.phases[name].epochs} to {phase.epochs}"
        for name, phase in schedule.phases.items()
    ]
    return f"budget={config.budget}: epochs of {', '.join(changes)}; {whole} in all"


def _words(amount: float, budget: Budget) -> str:
    return f"about {duration(amount)}" if budget.unit == "seconds" else f"{amount:,.0f} pictures"
