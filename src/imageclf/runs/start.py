"""What a Hydra job does: check, make the run directory, go through the one door."""

import logging
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from imageclf import InputError
from imageclf.configs import check, to_plain
from imageclf.runs.checks import check_values
from imageclf.runs.directory import check_directory, prepare, read_summary
from imageclf.runs.extras import announce, check_tags
from imageclf.runs.failure import noted_failure
from imageclf.runs.metrics import score_names
from imageclf.runs.options import TrainOptions

log = logging.getLogger(__name__)


def start(cfg: DictConfig, run_dir: Path, overrides: list[str]) -> float | None:
    """Train what a config says, and return its optimized metric.

    Args:
        cfg: the composed config.
        run_dir: of the run.
        overrides: what the user typed.

    Raises:
        InputError: a mistake in the config or the data.
    """
    # What is refused beside a run that is there says nothing about that run.
    with nullcontext() if (run_dir / "config.yaml").exists() else noted_failure(run_dir):
        check_job(cfg, run_dir, overrides)
        unfinished = prepare(cfg, run_dir, overrides)
    if unfinished:
        with noted_failure(run_dir):
            announce(run_dir, to_plain(cfg))
            train(run_dir)
    else:
        log.info("%s is finished already", run_dir)
    # Scripts take the last line of the output for the run directory.
    print(run_dir)
    return score_of(run_dir, cfg.optimized_metric)


def score_of(run_dir: Path, metric: str | None) -> float | None:
    """Return a metric of a finished run; None where it has none of that name."""
    score = read_summary(run_dir).get(metric or "")
    return float(score) if score is not None else None


def check_job(cfg: DictConfig, run_dir: Path, overrides: list[str]) -> None:
    """Refuse what can be refused before any picture is read and anything is written.

    Raises:
        InputError: a mistake in the config, or the directory holds another run.
    """
    config = to_plain(cfg)
    check(config, TrainOptions)
    check_top(config)
    check_values(config)
    check_tags(config)
    check_directory(cfg, run_dir, overrides)


def check_top(config: dict[str, Any]) -> None:
    """Refuse a seed or a metric that there cannot be.

    Raises:
        InputError: such a value.
    """
    seed, metric = config["seed"], config["optimized_metric"]
    if not 0 <= seed < 2**32:
        raise InputError(f"seed={seed}: give a whole number from 0 to {2**32 - 1}")
    if config["resume_sweep"] is not None:
        raise InputError(
            f"resume_sweep={config['resume_sweep']}: it goes on with a sweep, so give -m and what it swept; "
            "one run goes on by hydra.run.dir=PATH ckpt_path=auto"
        )
    names = score_names(config)
    if metric is not None and metric not in names:
        raise InputError(f"optimized_metric={metric}: give one of {', '.join(names)}, or null")


def train(run_dir: Path) -> None:
    """Go through the one door, in this process or in one per rank."""
    from imageclf import worker
    from imageclf.configs import load_config
    from imageclf.runs.ranks import run_ranks
    from imageclf.runs.table import table_of_run

    config = load_config(run_dir / "config.yaml")
    # Here, before any rank starts: all of them read the same split.csv.
    held_out = len(table_of_run(run_dir, config["data"]).rows("valid"))
    ranks = num_ranks(config["trainer"])
    if 0 < held_out < ranks:
        raise InputError(
            f"{held_out} validation pictures for {ranks} ranks: hold out more, or take fewer ranks"
        )
    if ranks == 1:
        worker.run(run_dir)
    else:
        run_ranks(run_dir, ranks)


def num_ranks(trainer: dict[str, Any]) -> int:
    """Return how many processes a trainer node asks for on this machine."""
    devices = trainer.get("devices", 1)
    if isinstance(devices, list):
        return len(devices)
    if devices in ("auto", -1, "-1"):
        import torch

        return max(1, torch.cuda.device_count()) if trainer.get("accelerator") != "cpu" else 1
    return int(devices)
