"""Time what precompute costs and saves: `python benchmarks/precompute.py`, a minute on two cores.

Building the features is compared with forward passes over the same pictures, and an epoch of the head on
them with the same epoch through the frozen body; by turns, in one process.
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import lightning as pl
import torch
from composed import Composed, composed, on_cpu

from imageclf.callbacks.precompute import stored_features

SIDES = ("cached", "frozen")


class EpochSeconds(pl.Callback):
    """Time each epoch from its first batch to its last, by its phase's name up to the hyphen."""

    def __init__(self) -> None:
        self._started = 0.0
        self.seconds: dict[str, list[float]] = {side: [] for side in SIDES}

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: object, batch_idx: int
    ) -> None:
        """Start with the first batch: the features were built when it was asked for."""
        if batch_idx == 0:
            self._started = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the seconds."""
        place = trainer.datamodule.schedule.at(trainer.current_epoch)  # type: ignore[attr-defined]
        self.seconds[place.name.split("-")[0]].append(time.perf_counter() - self._started)


def main() -> None:
    """Run the benchmark; the last line of the output is one of JSON with all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("overrides", nargs="*", help="of imageclf-train: data.size=64 model=resnet34 ...")
    options = parser.parse_args()
    on_cpu(options.threads)
    with tempfile.TemporaryDirectory(prefix="imageclf-precompute-") as folder:
        run = composed(Path(folder), [*phases(options.rounds), *options.overrides])
        clock = EpochSeconds()
        trainer = run.trainer(clock)
        trainer.fit(run.parts.module, datamodule=run.parts.data)
        seconds = clock.seconds | building(run, trainer, options.rounds)
    speedup = _ratio(seconds["frozen"], seconds["cached"])
    cost = _ratio(seconds["build"], seconds["forward"])
    print(f"an epoch on cached features is {speedup:.1f} times as fast (at least 10)")
    print(f"building them costs {cost:.3f} forward passes (at most 1.2)")
    medians = {name: round(median(each), 4) for name, each in seconds.items()}
    print(json.dumps({"seconds": medians, "speedup": speedup, "build": cost, "rounds": options.rounds}))


def phases(rounds: int) -> list[str]:
    """Return the overrides of a schedule that has an epoch of each kind by turns."""
    overrides = [f"~schedule.phases.{name}" for name in ("head", "augment", "finetune", "bigger")]
    for number in range(rounds):
        for side in SIDES:
            cached = str(side == "cached").lower()
            phase = f"{{lr: 1e-3, unfreeze_to: head, augment: false, precompute: {cached}}}"
            overrides.append(f"+schedule.phases.{side}-{number}={phase}")
    return overrides


def building(run: Composed, trainer: pl.Trainer, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of building the features of all pictures, and of their forward passes alone."""
    _, module, data = run.parts
    size = data.loading.size

    def build() -> None:
        # As at a run's start: what an earlier round has kept must not be found.
        shutil.rmtree(data.caching.folder.root / "features", ignore_errors=True)
        stored_features(trainer, module, data, "train", size)

    def forward() -> None:
        module.eval()
        with torch.no_grad():
            for batch in data.read(data.evaluation_requests("train", size)):
                assert batch.images is not None
                module.model.features(batch.images)

    jobs: dict[str, Callable[[], None]] = {"build": build, "forward": forward}
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            started = time.perf_counter()
            job()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def _ratio(over: list[float], under: list[float]) -> float:
    return round(median(a / b for a, b in zip(over, under, strict=True)), 3)


if __name__ == "__main__":
    main()
