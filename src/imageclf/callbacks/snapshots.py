"""Keep the weights at each cycle's end; afterwards average them, and average what they predict."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning as pl

from imageclf import InputError
from imageclf.callbacks.callback import Callback, Order
from imageclf.data import ImageData
from imageclf.evaluation.candidates import (
    MIXED,
    Candidate,
    SnapshotFolder,
    best_candidate,
    candidate,
    mean_predictions,
    score_of,
)
from imageclf.evaluation.norms import refresh_on_training
from imageclf.evaluation.predicting import current_predictions, predict
from imageclf.evaluation.preserve import preserved
from imageclf.model import ClassifierModule, Predictions, average_weights, greedy_soup, learning_norms
from imageclf.model.weights.averaging import State
from imageclf.schedule import Schedule

log = logging.getLogger(__name__)


def snapshot_names(schedule: Schedule) -> dict[str, int]:
    """Return the names of all snapshots, PHASE-CYCLE, with the epoch whose end each is taken at."""
    places = {epoch: schedule.at(epoch) for epoch in range(schedule.epochs)}
    return {f"{place.name}-{place.cycle}": epoch for epoch, place in places.items() if place.is_cycle_end}


class Run(NamedTuple):
    """What the end of a run works with.

    Args:
        trainer: knows device, precision and ranks.
        module: whose weights are exchanged.
        data: the pictures.
        size: pixels a side.
        final: plain predictions of the validation split by the final weights, if there is any.
    """

    trainer: pl.Trainer
    module: ClassifierModule
    data: ImageData
    size: int
    final: Predictions | None

    def look(self, weights: State) -> Predictions:
        """Return plain predictions of the validation split by other weights; a collective call."""
        self.module.model.load_state_dict(weights)
        # The same pictures: trainer.limit_val_batches may have left some out.
        rows = None if self.final is None else self.final.rows
        return predict(self.trainer, self.module, self.data, "valid", self.size, (0,), only=rows)


class Snapshots(Callback):
    """Save `snapshots/PHASE-CYCLE.ckpt` after each cycle's last step; compare them at the end.

    At the end the final weights, each snapshot, the average of the last ones' weights, the greedy
    soup of all and the ensemble of the last ones' probabilities are validated alike, and written to
    `candidates.json`.

    Args:
        schedule: what holds at an epoch.
        run_dir: of the run.
        last: how many of the last snapshots are averaged.
        refresh_bn: offer average and soup once more, with the statistics of batch norm estimated anew
            from the training pictures; a norm that was frozen in every phase keeps its own.

    Raises:
        InputError: `last` is below 1.

    Source: `learn.fit(..., cycle_save_name=...)` of fastai 0.7; Snapshot Ensembles,
    https://arxiv.org/abs/1704.00109; Model soups, https://arxiv.org/abs/2203.05482.
    """

    order = Order.SNAPSHOT

    def __init__(self, schedule: Schedule, run_dir: Path, last: int, refresh_bn: bool) -> None:
        if last < 1:
            raise InputError(f"callbacks.snapshots.last={last}: give a whole number from 1")
        self._schedule = schedule
        self._folder = SnapshotFolder(run_dir / "snapshots")
        self._last = last
        self._refresh_bn = refresh_bn

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the weights if a cycle ends."""
        place = self._schedule.at(trainer.current_epoch)
        if place.is_cycle_end:
            self._save(trainer, f"{place.name}-{place.cycle}", pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Average the snapshots, and compare the candidates on the validation split."""
        module: Any = pl_module
        data: ImageData = trainer.datamodule  # type: ignore[attr-defined]
        size = data.last_size
        self._save(trainer, "final", module)
        # In the order of the schedule; a run cut short by limit_* has fewer.
        names = [name for name in snapshot_names(self._schedule) if self._folder.has(name)]
        final = current_predictions(trainer, module, data, size) if data.has_validation else None
        run = Run(trainer, module, data, size, final)
        # The final weights must be there again for whoever comes after.
        with preserved(module, trainer.optimizers[0]):
            if names:
                self._average(run, names)
            if final is not None:
                self._compare(run, names, final)

    def _average(self, run: Run, names: Sequence[str]) -> None:
        self._folder.save(
            run.trainer,
            "average",
            run.module.classes,
            lambda: average_weights([self._folder.load(name) for name in names[-self._last :]]),
        )
        self._refresh(run, "average", names)

    def _refresh(self, run: Run, name: str, names: Sequence[str]) -> None:
        """Write NAME_bn, if asked to."""
        if self._refresh_bn:
            run.module.model.load_state_dict(self._folder.load(name))
            norms = self._learning_norms(run.module, names)
            if not norms:
                log.warning("refresh_bn: no batch norm learns in any phase, so %s_bn is %s", name, name)
            refresh_on_training(run.trainer, run.module, run.data, run.data.last_epoch, norms)
            self._save(run.trainer, f"{name}_bn", run.module)

    def _learning_norms(self, module: ClassifierModule, names: Sequence[str]) -> set[str]:
        """Return the batch norms that learnt in the phase of any snapshot; the others are constants."""
        epochs, groups = snapshot_names(self._schedule), module.groups
        found: set[str] = set()
        for phase in (self._schedule.at(epochs[name]).phase for name in names):
            first = phase.first_trainable(groups.names)
            found |= learning_norms(module.model, groups, first, train_bn=phase.bn == "train")
        return found

    def _compare(self, run: Run, names: Sequence[str], final: Predictions) -> None:
        looked = {"final": final} | {name: run.look(self._folder.load(name)) for name in names}
        candidates = {name: candidate([name], [name], each) for name, each in looked.items()}
        if names:
            candidates |= self._mixed(run, {name: looked[name] for name in names})
        if self._folder.has("ema"):
            candidates["ema"] = self._candidate(run, "ema", ["ema"])
        best = best_candidate(candidates)
        for name in (name for name in MIXED if name in candidates):
            run.module.results[f"val/acc_{name}"] = candidates[name].accuracy
            run.module.results[f"val/loss_{name}"] = candidates[name].loss
        run.module.results |= {"best": best, "val/acc_best": candidates[best].accuracy}
        log.info("best on validation: %s (%.4f)", best, candidates[best].accuracy)
        if run.trainer.is_global_zero:
            self._folder.write_list(candidates, best)

    def _mixed(self, run: Run, looked: dict[str, Predictions]) -> dict[str, Candidate]:
        """Return the candidates that are made of several snapshots."""
        last = list(looked)[-self._last :]
        refreshed = {"average_bn": self._candidate(run, "average_bn", last)} if self._refresh_bn else {}
        ensemble = mean_predictions([looked[name] for name in last])
        return {
            "average": self._candidate(run, "average", last),
            **refreshed,
            **self._soups(run, looked),
            "ensemble": candidate(last, last, ensemble),
        }

    def _soups(self, run: Run, looked: dict[str, Predictions]) -> dict[str, Candidate]:
        soup = greedy_soup(
            {name: score_of(each) for name, each in looked.items()},
            self._folder.load,
            lambda weights: score_of(run.look(weights)),
        )
        self._folder.save(run.trainer, "soup", run.module.classes, lambda: soup.state)
        soups = {"soup": Candidate(["soup.ckpt"], list(soup.members), *soup.score)}
        if self._refresh_bn:
            self._refresh(run, "soup", list(looked))
            soups["soup_bn"] = self._candidate(run, "soup_bn", soup.members)
        return soups

    def _candidate(self, run: Run, name: str, members: Sequence[str]) -> Candidate:
        return candidate([name], members, run.look(self._folder.load(name)))

    def _save(self, trainer: pl.Trainer, name: str, module: Any) -> None:
        self._folder.save(trainer, name, module.classes, module.model.state_dict)
