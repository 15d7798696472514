"""The parts of a training as imageclf-train would build them, for benchmarks that time one part alone."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import lightning as pl
import torch
from hydra import compose, initialize_config_dir
from omegaconf import open_dict

from imageclf.configs import CONF_DIR, to_plain
from imageclf.training.build import Parts, build_callbacks, build_parts, build_trainer
from imageclf.training.parts.table import read_table
from imageclf.training.run_config import RunConfig, parse


class Composed(NamedTuple):
    """A training that is built and not started.

    Args:
        config: parsed.
        parts: schedule, module, data.
        folder: of the run; holds its cache, too.
    """

    config: RunConfig
    parts: Parts
    folder: Path

    def trainer(self, *further: pl.Callback) -> pl.Trainer:
        """Return a trainer with the callbacks of the config, and further ones behind them."""
        callbacks = build_callbacks(self.config, self.parts.state, self.folder, ends=False)
        return build_trainer(
            self.config.trainer,
            self.parts.schedule.epochs,
            self.folder,
            [*callbacks, *further],
            self.config.logger,
            has_validation=False,
        )


def composed(folder: Path, overrides: Sequence[str]) -> Composed:
    """Build what imageclf-train with these overrides would train, on all pictures of the demo.

    Args:
        folder: receives what the run writes, and its cache, so that nothing comes from earlier runs.
        overrides: as on the command line; they may name other pictures.
    """
    fixed = ["data.num_workers=0", "data.valid_pct=0", "data.cache=raw", f"data.cache_dir={folder}/cache"]
    with initialize_config_dir(CONF_DIR, version_base="1.3"):
        cfg = compose("train", overrides=[*fixed, *overrides])
    # Hydra alone knows its name, and there is none.
    with open_dict(cfg):
        cfg.experiment = None
    config = parse(to_plain(cfg), RunConfig)
    pl.seed_everything(config.seed, verbose=False)
    return Composed(config, build_parts(config, read_table(config.data)), folder)


def on_cpu(threads: int) -> None:
    """Take the CPU alone, with so many threads."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    torch.set_num_threads(threads)


def conclude(seconds: dict[str, list[float]], over: str, under: str, most: float) -> None:
    """Print the medians of interleaved rounds, the median of their ratios, and all as a line of JSON.

    Args:
        seconds: of each round, by what was timed.
        over: whose seconds are divided.
        under: by whose.
        most: the ratio to be stayed below.
    """
    ratios = [a / b for a, b in zip(seconds[over], seconds[under], strict=True)]
    medians = {name: round(median(each), 4) for name, each in seconds.items()}
    figures = {
        "seconds": medians,
        "ratios": [round(ratio, 4) for ratio in ratios],
        "ratio": round(median(ratios), 4),
        "most": most,
        "rounds": len(ratios),
    }
    for name, value in medians.items():
        print(f"{name}: {value:.3f} s")
    print(f"{over} / {under}: {figures['ratio']:.3f} (at most {most})")
    print(json.dumps(figures))
