"""Find the learning rate at the start of every phase with `lr: auto`, and leave the training as it was."""

import json
import logging
import math
from collections.abc import Iterator
from itertools import chain, count
from pathlib import Path
from typing import Any

import lightning as pl
import pandas as pd
import torch
from torch.optim import Optimizer

from imageclf import InputError
from imageclf.analysis.lr_curve import (
    SLIDE_STEPS,
    Curve,
    Method,
    Suggestion,
    diverged,
    smooth,
    suggest,
    sweep,
)
from imageclf.callbacks.callback import Callback, Order, data_of
from imageclf.callbacks.reproducible import position_seed, seed_all
from imageclf.callbacks.warm_restarts import depths_of, set_lrs
from imageclf.data import Batch
from imageclf.evaluation.predicting import on_device
from imageclf.evaluation.preserve import preserved
from imageclf.model.module import ClassifierModule
from imageclf.report.plots.lr_find_plot import lr_find_figure
from imageclf.report.plots.style import save_figure
from imageclf.schedule import Phase, RunState, Schedule
from imageclf.system.progress import track

log = logging.getLogger(__name__)

_HALF_FACTOR = 1024.0


class LrFinder(Callback):
    """Search before the first batch of each phase with `lr: auto`.

    The learning rates of the groups keep their ratios: the search varies a common factor.

    Args:
        state: of the run; receives the head's learning rate by phase.
        run_dir: receives `lr_find/PHASE.csv`, `.png` and `.json`.
        seed: of dropout during the search.
        lr_min: the head's learning rate at the first step.
        lr_max: and at the last.
        num_steps: optimizer steps at most; a small data set is repeated. None: as many as an epoch has.
        beta: smoothing of the losses.
        method: valley, slide, steepest or minimum.
        fallback: the head's learning rate where the curve suggests none, with a warning.

    Raises:
        InputError: the steps are no sweep, or too few for slide.

    Source: `learn.lr_find()` of fastai 0.7; https://arxiv.org/abs/1506.01186.
    """

    order = Order.LEARNING_RATE

    @classmethod
    def is_needed_by(cls, phase: Phase) -> bool:
        """Return whether a phase's learning rate is to be found."""
        return phase.lr == "auto"

    def __init__(
        self,
        schedule: Schedule,
        state: RunState,
        run_dir: Path,
        seed: int,
        lr_min: float,
        lr_max: float,
        num_steps: int | None,
        beta: float,
        method: Method,
        fallback: float,
    ) -> None:
        self._schedule = schedule
        self._state = state
        self._dir = run_dir / "lr_find"
        self._seed = seed
        self._range = (lr_min, lr_max)
        self.num_steps = num_steps
        # A mistake is refused now, not when the phase starts.
        sweep(lr_min, lr_max, 2 if num_steps is None else num_steps)
        if method == "slide" and num_steps is not None and num_steps < SLIDE_STEPS:
            raise InputError(
                f"callbacks.lr_finder.method=slide with num_steps={num_steps}: it reads off far too low "
                f"rates from fewer than {SLIDE_STEPS} steps; give callbacks/lr_finder=fastai2 as well"
            )
        self._beta = beta
        self._method = method
        self._fallback = fallback

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Search if a phase with `lr: auto` starts."""
        place = self._schedule.at(trainer.current_epoch)
        # A run that resumes inside the phase has its rate from the checkpoint.
        if place.is_phase_start and place.phase.lr == "auto":
            self._state.found_lrs[place.name] = self.find(trainer, pl_module, place.name)

    def state_dict(self) -> dict[str, Any]:
        """Return the learning rates found so far, by phase."""
        return dict(self._state.found_lrs)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the learning rates found."""
        self._state.found_lrs.update(state_dict)

    def find(self, trainer: pl.Trainer, module: Any, phase: str) -> float:
        """Search, write the curve down, and return the head's learning rate."""
        curve = self.search(trainer, module)
        suggestion = suggest(curve, self._steps(trainer), self._beta, self._method)
        if trainer.is_global_zero:
            write_curve(self._dir, phase, curve, suggestion, self._method)
        if suggestion.lr is None:
            log.warning(
                "lr finder, phase %s: no suggestion because %s; taking callbacks.lr_finder.fallback=%g",
                phase,
                suggestion.reason,
                self._fallback,
            )
            return self._fallback
        log.info(
            "lr finder, phase %s: %.2e (method %s, %d steps)",
            phase,
            suggestion.lr,
            self._method,
            len(curve.lrs),
        )
        return suggestion.lr

    def search(self, trainer: pl.Trainer, module: ClassifierModule) -> Curve:
        """Train with a rising learning rate until the loss diverges, then restore everything."""
        epoch, optimizer = trainer.current_epoch, trainer.optimizers[0]
        phase, depths = self._schedule.at(epoch).phase, depths_of(optimizer)
        lrs = sweep(*self._range, self._steps(trainer))
        losses: list[float] = []
        name = f"search for the learning rate of phase {self._schedule.at(epoch).name}"
        with preserved(module, optimizer), track(name, len(lrs), "steps") as advance:
            # A small data set is repeated until the steps are done.
            epochs = (data_of(trainer).training_batches(epoch) for _ in count())
            batches = on_device(trainer, chain.from_iterable(epochs))
            for step, lr in enumerate(lrs):
                advance(1)
                seed_all(position_seed(self._seed, epoch, step, trainer.global_rank, 1))
                set_lrs(optimizer, phase.lrs(module.groups.names, lr, found=1.0, depths=depths))
                losses.append(trial_step(trainer, module, optimizer, batches))
                if diverged(smooth(losses, self._beta)):
                    break
        return Curve(lrs[: len(losses)], losses, smooth(losses, self._beta))

    def _steps(self, trainer: pl.Trainer) -> int:
        if self.num_steps is not None:
            return self.num_steps
        return max(2, int(trainer.num_training_batches) // trainer.accumulate_grad_batches)


def write_curve(folder: Path, phase: str, curve: Curve, suggestion: Suggestion, method: Method) -> None:
    """Write a search as `PHASE.csv`, `PHASE.json` and `PHASE.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(curve._asdict()).rename(columns={"lrs": "lr", "losses": "loss"})
    frame.to_csv(folder / f"{phase}.csv", index=False)
    found = {"suggestion": suggestion.lr, "method": method, "reason": suggestion.reason}
    (folder / f"{phase}.json").write_text(json.dumps(found) + "\n", encoding="utf-8")
    save_figure(lr_find_figure(frame, suggestion.lr, method, suggestion.reason), folder / f"{phase}.png")


def trial_step(
    trainer: pl.Trainer, module: ClassifierModule, optimizer: Optimizer, batches: Iterator[Batch]
) -> float:
    """Take one optimizer step outside Lightning's loop; return the loss, mean over batches and ranks."""
    # The bare optimizer: Lightning's wrapper would count the step.
    optimizer.zero_grad()
    accumulate = trainer.accumulate_grad_batches
    # Half precision would lose small gradients; a fixed factor stands in for a gradient scaler.
    factor = _HALF_FACTOR if str(trainer.precision).startswith("16") else 1.0
    losses = []
    for _ in range(accumulate):
        with trainer.precision_plugin.forward_context():
            loss = module.training_step(next(batches), 0) / accumulate
        (factor * loss).backward()  # type: ignore[no-untyped-call]
        losses.append(loss.detach())
    _share_gradients(trainer, module, factor)
    mean = float(trainer.strategy.reduce(torch.stack(losses).sum(), reduce_op="mean"))
    # After a loss that is not finite the search ends; this step would poison the buffers.
    if math.isfinite(mean):
        optimizer.step()
    return mean


def _share_gradients(trainer: pl.Trainer, module: ClassifierModule, factor: float) -> None:
    """Average the gradients over the ranks, divide by the factor, and clip them as training does."""
    parameters = [each for each in module.parameters() if each.grad is not None]
    for parameter in parameters:
        # The forward pass did not go through DDP, which would average them.
        parameter.grad = trainer.strategy.reduce(parameter.grad, reduce_op="mean") / factor
    limit = trainer.gradient_clip_val
    if limit and trainer.gradient_clip_algorithm == "value":
        torch.nn.utils.clip_grad_value_(parameters, limit)
    elif limit:
        torch.nn.utils.clip_grad_norm_(parameters, limit)
