"""Callbacks that time or stop a training from inside; a run's config names them as a user's own."""

import json
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import lightning as pl
import torch

RESULT = "probe.json"
_SYNCHRONIZING = "called a synchronizing"


class EnoughError(Exception):
    """The run has shown what it was to show; what would follow is not needed."""


def synchronize(device: torch.device) -> None:
    """Wait until a device has done all that it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Clock:
    """Time the steps of each epoch from one that is warm to the last but one.

    The device is waited for before the first and after the last of these steps, and at no other time.

    Args:
        device: that trains.
        steps: of an epoch.
        warm_up: of these, how many are not timed.
        seconds: to be timed at the least, if `epochs` allow it.
        epochs: to be timed at the most.
        workers: that read the batches: as they deliver about together, each is timed as often.

    Raises:
        ValueError: no step is left to be timed.
    """

    def __init__(
        self, device: torch.device, steps: int, warm_up: int, seconds: float, epochs: int, workers: int = 0
    ) -> None:
        every = steps - 2 - warm_up
        self._timed = every - every % max(1, workers)
        if self._timed < 1:
            raise ValueError(f"an epoch of {steps} steps leaves too few to be timed after {warm_up}")
        self._device = device
        self._warm_up = warm_up
        self._enough = (seconds, epochs)
        self._started = 0.0
        self.windows: list[float] = []

    def tick(self, step: int) -> bool:
        """Note that a step of an epoch has ended, counted from 0; return whether enough is timed by now."""
        if step == self._warm_up:
            synchronize(self._device)
            self._started = time.perf_counter()
        if step == self._warm_up + self._timed:
            synchronize(self._device)
            self.windows.append(time.perf_counter() - self._started)
        seconds, epochs = self._enough
        return sum(self.windows) >= seconds or len(self.windows) >= epochs

    def rates(self, batch_size: int) -> list[float]:
        """Return the images per second of each epoch."""
        return [self._timed * batch_size / window for window in self.windows]


class Timing(pl.Callback):
    """Time steps as `Clock` does, then end the run. What was found is in `probe.json`.

    Args:
        run_dir: of the run.
        warm_up: steps of an epoch that are not timed; at least one.
        seconds: as of the clock.
        epochs: likewise.
    """

    def __init__(self, run_dir: Path, warm_up: int, seconds: float, epochs: int) -> None:
        self._path = run_dir / RESULT
        self._limits = (warm_up, seconds, epochs)
        self._created = time.perf_counter()
        self._facts: dict[str, Any] = {}
        self._clock: Clock | None = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Note when the run's first step begins."""
        if self._clock is None:
            self._facts = facts(trainer) | {"to first step": self._seconds()}
            steps, workers = int(trainer.num_training_batches), self._facts["workers"]
            self._clock = Clock(pl_module.device, steps, *self._limits, workers=workers)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Tick, and end the run when enough is timed."""
        assert self._clock is not None
        if "first step" not in self._facts:
            # It tunes cuDNN, or compiles. No clock runs yet.
            synchronize(pl_module.device)
            self._facts["first step"] = self._seconds() - self._facts["to first step"]
        if self._clock.tick(batch_idx):
            found = self._facts | {"rates": self._clock.rates(len(batch.labels))}
            self._path.write_text(json.dumps(found))
            raise EnoughError("timed")

    def _seconds(self) -> float:
        return time.perf_counter() - self._created


class Syncs(pl.Callback):
    """Count what makes the host wait for the device between two steps of an epoch, then end the run.

    What was found is in `probe.json`. Without CUDA nothing is found.

    Args:
        run_dir: of the run.
        first: the counting starts when this batch has been learnt.
        steps: that are watched.

    Source: `torch.cuda.set_sync_debug_mode`.
    """

    def __init__(self, run_dir: Path, first: int, steps: int) -> None:
        self._path = run_dir / RESULT
        self._first = first
        self._steps = steps
        self._places: Counter[str] = Counter()
        self._watch = ExitStack()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Start, and stop some steps later."""
        if batch_idx == self._first:
            self._begin()
        elif batch_idx == self._first + self._steps:
            self._watch.close()
            found = {"steps": self._steps, "places": dict(self._places.most_common())}
            self._path.write_text(json.dumps(facts(trainer) | found))
            raise EnoughError("counted")

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Leave warnings and device as they were."""
        self._watch.close()

    def _begin(self) -> None:
        if torch.cuda.is_available():
            # Before the filter: torch says once that the mode is a prototype.
            torch.cuda.set_sync_debug_mode("warn")
            self._watch.callback(torch.cuda.set_sync_debug_mode, "default")
        self._watch.enter_context(warnings.catch_warnings())
        # Python shows a warning once for each place, unless told otherwise.
        warnings.simplefilter("always")
        warnings.showwarning = self._count  # type: ignore[assignment]

    def _count(self, message: Any, category: Any, filename: str, lineno: int, *_: Any) -> None:
        if _SYNCHRONIZING in str(message):
            self._places[_place(traceback.extract_stack()[:-1])] += 1


class StopAt(pl.Callback):
    """Raise after a batch, once; users' callbacks run after ours, so its checkpoint is written by then.

    Args:
        run_dir: of the run.
        epoch: counted from 0.
        batch: of the epoch, counted from 0.
    """

    def __init__(self, run_dir: Path, epoch: int, batch: int) -> None:
        self._path = run_dir / RESULT
        self._at = (epoch, batch)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop there."""
        if (trainer.current_epoch, batch_idx) == self._at and not self._path.exists():
            self._path.write_text(json.dumps(facts(trainer)))
            raise EnoughError("stopped on purpose")


def facts(trainer: pl.Trainer) -> dict[str, Any]:
    """Return what a run has chosen."""
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    size = data.size_of(data.schedule.at(trainer.current_epoch))
    return {
        "precision": str(trainer.precision),
        "store": bool(data.is_on_device(size)),
        "workers": data.num_workers,
    }


def _place(stack: Sequence[traceback.FrameSummary]) -> str:
    """Return the innermost frame, and the innermost one of ours or Lightning's below it."""
    frames = [frame for frame in stack if Path(frame.filename).name != "warnings.py"]
    ours = [frame for frame in frames if "imageclf" in frame.filename or "lightning" in frame.filename]
    chosen = dict.fromkeys(f"{Path(f.filename).name}:{f.lineno} {f.name}" for f in [*ours[-1:], *frames[-1:]])
    return " > ".join(chosen)
