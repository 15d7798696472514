"""Save the weights at each cycle's end; at the end average them, and average their predictions."""

import logging
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning as pl

from imageclf import InputError
from imageclf.analysis.crossfit import Crossfitted, PictureScores, clear_best, most_accurate
from imageclf.callbacks.callback import Callback, Order, data_of
from imageclf.data import ImageData
from imageclf.evaluation.candidates import (
    MIXED,
    SnapshotFolder,
    Validated,
    chosen,
    crossfitted_choice,
    mean_predictions,
    validated,
)
from imageclf.evaluation.norms import refresh_on_training
from imageclf.evaluation.predicting import current_predictions, predict
from imageclf.evaluation.preserve import preserved
from imageclf.model.groups import learning_norms
from imageclf.model.module import ClassifierModule
from imageclf.model.predictions import Predictions
from imageclf.model.weights.averaging import State, average_weights
from imageclf.model.weights.soup import greedy_soup
from imageclf.schedule import Phase, RunState, Schedule
from imageclf.schedule.size import PictureSize

log = logging.getLogger(__name__)


def snapshot_phases(schedule: Schedule) -> dict[str, Phase]:
    """Return the names of all snapshots, PHASE-CYCLE, with the phase that each is of."""
    ends = [place for place in schedule.places if place.is_cycle_end]
    return {f"{place.name}-{place.cycle}": place.phase for place in ends}


def best_results(found: Crossfitted | None) -> dict[str, float]:
    """Return the cross-fitted accuracy of the best candidate, by its keys in summary.json."""
    names = [f"val/acc_best_crossfit{end}" for end in ("", "_low", "_high")]
    return {} if found is None else dict(zip(names, found, strict=True))


class Evaluator(NamedTuple):
    """Predict the validation split with other weights, which the module then has.

    `final` are the plain predictions by the final weights, if there is such a split.
    """

    trainer: pl.Trainer
    module: ClassifierModule
    data: ImageData
    size: PictureSize
    final: Predictions | None

    def predict(self, weights: State) -> Predictions:
        """Return plain predictions of the validation split by given weights; a collective call."""
        self.module.model.load_state_dict(weights)
        # The same pictures: trainer.limit_val_batches may have left some out.
        rows = None if self.final is None else self.final.rows
        return predict(
            self.trainer, self.module, self.data, "valid", self.size, (0,), rows, "comparing weights"
        )


class Snapshots(Callback):
    """Save `snapshots/PHASE-CYCLE.ckpt` after each cycle's last step; compare them at the end of the run.

    The candidates are the final weights, each snapshot, the average weights of the last ones, the greedy
    soup of all, and the ensemble of the last ones' probabilities; `candidates.json` has their scores on
    the validation split, and names the one that the run reports.

    Args:
        state: of the run; says which candidate is reported, and receives the scores of all.
        seed: of the halves of the validation split that choose and score the best candidate.
        last: how many of the last snapshots are averaged.
        refresh_bn: add average and soup with the statistics of batch norm estimated anew from the training
            pictures; a norm that was frozen in every phase keeps its own.

    Raises:
        InputError: `last` is below 1.

    Source: `learn.fit(..., cycle_save_name=...)` of fastai 0.7; Snapshot Ensembles,
    https://arxiv.org/abs/1704.00109; Model soups, https://arxiv.org/abs/2203.05482.
    """

    order = Order.SNAPSHOT

    def __init__(
        self, schedule: Schedule, state: RunState, run_dir: Path, seed: int, last: int, refresh_bn: bool
    ) -> None:
        if last < 1:
            raise InputError(f"callbacks.snapshots.last={last}: give a whole number from 1")
        self._schedule = schedule
        self._state = state
        self._seed = seed
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
        data = data_of(trainer)
        size = data.last_size
        self._save(trainer, "final", module)
        # In the order of the schedule; a run that was cut short has fewer.
        names = [name for name in snapshot_phases(self._schedule) if self._folder.has(name)]
        final = current_predictions(trainer, module, data, size) if data.has_validation else None
        run = Evaluator(trainer, module, data, size, final)
        # The callbacks after this one use the final weights.
        with preserved(module, trainer.optimizers[0]):
            # Where no cycle ended there is no snapshot.
            if names:
                self._average(run, names)
            if final is not None:
                self._compare(run, names, final)

    def _average(self, run: Evaluator, names: Sequence[str]) -> None:
        self._folder.save(
            run.trainer,
            "average",
            run.module,
            lambda: average_weights([self._folder.load(name) for name in names[-self._last :]]),
        )
        self._refresh(run, "average", names)

    def _refresh(self, run: Evaluator, name: str, names: Sequence[str]) -> None:
        """Write NAME_bn, if configured."""
        if self._refresh_bn:
            run.module.model.load_state_dict(self._folder.load(name))
            norms = self._learning_norms(run.module, names)
            if not norms:
                log.warning("refresh_bn: no batch norm learns in any phase, so %s_bn is %s", name, name)
            refresh_on_training(run.trainer, run.module, run.data, run.data.last_epoch, norms)
            self._save(run.trainer, f"{name}_bn", run.module)

    def _learning_norms(self, module: ClassifierModule, names: Sequence[str]) -> set[str]:
        """Return the batch norms that gathered statistics in the phase of any snapshot."""
        phases, groups = snapshot_phases(self._schedule), module.groups
        found: set[str] = set()
        for name in names:
            first, trains = phases[name].first_trainable(groups.names), phases[name].bn == "train"
            found |= learning_norms(module.model, groups, first, train_bn=trains)
        return found

    def _compare(self, run: Evaluator, names: Sequence[str], final: Predictions) -> None:
        found = {"final": validated(["final"], ["final"], final)}
        found |= {name: self._validated(run, name, [name]) for name in names}
        if names:
            found |= self._mixed(run, {name: found[name] for name in names})
        if self._folder.has("ema"):
            found["ema"] = self._validated(run, "ema", ["ema"])
        candidates = {name: each.candidate for name, each in found.items()}
        best = chosen(found, most_accurate)
        rule = clear_best if self._state.reports == "clear_best" else most_accurate
        reported = "final" if self._state.reports == "final" else chosen(found, rule)
        # Summary, which comes later, writes these as the predictions of the run.
        run.module.reported_predictions = found[reported].predictions
        self._state.results |= {
            f"val/{key}_{name}": value
            for name in MIXED
            if name in candidates
            for key, value in candidates[name].named.items()
        }
        score, value = next(iter(candidates[best].named.items()), ("loss", math.nan))
        self._state.results |= {"best": best, f"val/{score}_best": value}
        self._state.results |= best_results(crossfitted_choice(found, self._seed, rule))
        self._state.results |= {"model": reported, "model/chosen": self._state.reports != "final"}
        log.info("best on validation: %s (%.4f)", best, value)
        if run.trainer.is_global_zero:
            self._folder.write_list(candidates, best, reported)

    def _mixed(self, run: Evaluator, snapshots: dict[str, Validated]) -> dict[str, Validated]:
        """Return the candidates that are made of several snapshots."""
        last = list(snapshots)[-self._last :]
        refreshed = {"average_bn": self._validated(run, "average_bn", last)} if self._refresh_bn else {}
        ensemble = mean_predictions([snapshots[name].predictions for name in last])
        return {
            "average": self._validated(run, "average", last),
            **refreshed,
            **self._soups(run, snapshots),
            "ensemble": validated(last, last, ensemble),
        }

    def _soups(self, run: Evaluator, snapshots: dict[str, Validated]) -> dict[str, Validated]:
        tried: list[PictureScores] = []

        def judged(weights: State) -> Validated:
            """Score a mixture, and keep how."""
            mixture = validated(["soup"], [], run.predict(weights))
            tried.extend(mixture.choices)
            return mixture

        soup = greedy_soup(snapshots, self._folder.load, judged)
        self._folder.save(run.trainer, "soup", run.module, lambda: soup.state)
        mixed = validated(["soup"], soup.members, soup.score.predictions)
        soups = {"soup": mixed._replace(choices=tried)}
        if self._refresh_bn:
            self._refresh(run, "soup", list(snapshots))
            soups["soup_bn"] = self._validated(run, "soup_bn", soup.members)
        return soups

    def _validated(self, run: Evaluator, name: str, members: Sequence[str]) -> Validated:
        return validated([name], members, run.predict(self._folder.load(name)))

    def _save(self, trainer: pl.Trainer, name: str, module: Any) -> None:
        self._folder.save(trainer, name, module, module.model.state_dict)
