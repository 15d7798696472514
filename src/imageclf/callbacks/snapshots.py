"""Keep the weights at each cycle's end; afterwards average them, and average what they predict."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning as pl
import torch
from torch import Tensor

from imageclf import InputError
from imageclf.callbacks.evaluation import current_predictions, predict
from imageclf.callbacks.files import save_tensors, write_atomically
from imageclf.callbacks.preserve import preserved
from imageclf.data import ImageData
from imageclf.model import ClassifierModule, Predictions, average_probabilities, average_weights
from imageclf.schedule import Schedule

log = logging.getLogger(__name__)


class Candidate(NamedTuple):
    """A way to predict that the run offers, and how it did on validation.

    Args:
        files: weights below `snapshots/`; of several the probabilities are averaged.
        accuracy: on the validation split.
        loss: on the validation split.
    """

    files: list[str]
    accuracy: float
    loss: float


def best_candidate(candidates: dict[str, Candidate]) -> str:
    """Return the name of the most accurate candidate; among equals, of the one with the lowest loss."""
    # With 51 pictures ties are common, and the loss says which is surer.
    return min(candidates, key=lambda name: (-candidates[name].accuracy, candidates[name].loss))


def snapshot_names(schedule: Schedule) -> dict[str, int]:
    """Return the names of all snapshots, PHASE-CYCLE, with the epoch whose end each is taken at."""
    places = {epoch: schedule.at(epoch) for epoch in range(schedule.epochs)}
    return {f"{place.name}-{place.cycle}": epoch for epoch, place in places.items() if place.is_cycle_end}


class Snapshots(pl.Callback):
    """Save `snapshots/PHASE-CYCLE.ckpt` after each cycle's last step; compare them at the end.

    At the end the final weights, each snapshot, the average of the last ones' weights and the
    ensemble of their probabilities are validated alike, and written to `candidates.json`.

    Args:
        schedule: what holds at an epoch.
        run_dir: of the run.
        last: how many of the last snapshots are averaged.

    Raises:
        InputError: `last` is below 1.

    Source: `learn.fit(..., cycle_save_name=...)` of fastai 0.7; Snapshot Ensembles,
    https://arxiv.org/abs/1704.00109.
    """

    def __init__(self, schedule: Schedule, run_dir: Path, last: int) -> None:
        if last < 1:
            raise InputError(f"callbacks.snapshots.last={last}: give a whole number from 1")
        self._schedule = schedule
        self._dir = run_dir / "snapshots"
        self._last = last

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the weights if a cycle ends."""
        place = self._schedule.at(trainer.current_epoch)
        if place.is_cycle_end and trainer.is_global_zero:
            self._save(f"{place.name}-{place.cycle}", pl_module)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare the candidates on the validation split."""
        module: Any = pl_module
        data: ImageData = trainer.datamodule  # type: ignore[attr-defined]
        if trainer.is_global_zero:
            self._save("final", pl_module)
        trainer.strategy.barrier("snapshots are written")
        # In the order of the schedule; a run cut short by limit_* has fewer.
        names = [name for name in snapshot_names(self._schedule) if (self._dir / f"{name}.ckpt").exists()]
        last = names[-self._last :]
        if last and trainer.is_global_zero:
            states = [self._load(name) for name in last]
            self._write("average", average_weights(states), module.classes)
        trainer.strategy.barrier("the average is written")
        if data.has_validation:
            self._compare(trainer, module, data, names, last)

    def _compare(
        self,
        trainer: pl.Trainer,
        module: ClassifierModule,
        data: ImageData,
        names: Sequence[str],
        last: Sequence[str],
    ) -> None:
        size = data.size_of(self._schedule.at(self._schedule.epochs - 1).phase)
        final = current_predictions(trainer, module, data, size)
        predicted = {"final": final}
        # The final weights must be there again for whoever comes after.
        with preserved(module, trainer.optimizers[0]):
            for name in [*names, *(["average"] if last else [])]:
                module.model.load_state_dict(self._load(name))
                # The same pictures: trainer.limit_val_batches may have left some out.
                predicted[name] = predict(trainer, module, data, "valid", size, (0,), only=final.rows)
        candidates = {name: _candidate([f"{name}.ckpt"], each) for name, each in predicted.items()}
        if last:
            ensemble = mean_predictions([predicted[name] for name in last])
            candidates["ensemble"] = _candidate([f"{name}.ckpt" for name in last], ensemble)
            for name in ("ensemble", "average"):
                module.results[f"val/acc_{name}"] = candidates[name].accuracy
                module.results[f"val/loss_{name}"] = candidates[name].loss
        best = best_candidate(candidates)
        module.results |= {"best": best, "val/acc_best": candidates[best].accuracy}
        if trainer.is_global_zero:
            self._list(candidates, best)

    def _save(self, name: str, module: Any) -> None:
        self._write(name, module.model.state_dict(), module.classes)

    def _write(self, name: str, state: dict[str, Tensor], classes: Sequence[str]) -> None:
        save_tensors({"state_dict": state, "classes": list(classes)}, self._dir / f"{name}.ckpt")

    def _load(self, name: str) -> dict[str, Tensor]:
        content = torch.load(self._dir / f"{name}.ckpt", map_location="cpu", weights_only=True)
        state: dict[str, Tensor] = content["state_dict"]
        return state

    def _list(self, candidates: dict[str, Candidate], best: str) -> None:
        rows = {name: candidate._asdict() for name, candidate in candidates.items()}
        text = json.dumps({"best": best, "candidates": rows}, indent=2) + "\n"
        write_atomically(self._dir / "candidates.json", lambda path: path.write_text(text, encoding="utf-8"))
        log.info("best on validation: %s (%.4f)", best, candidates[best].accuracy)


def mean_predictions(predictions: Sequence[Predictions]) -> Predictions:
    """Return predictions of the same pictures with the mean of their probabilities."""
    # In double, so that the order of the snapshots cannot tip a tie.
    mean = average_probabilities([each.probabilities.double().numpy() for each in predictions])
    return predictions[0]._replace(probabilities=torch.from_numpy(mean))


def _candidate(files: list[str], predictions: Predictions) -> Candidate:
    return Candidate(files, predictions.accuracy, predictions.loss)
