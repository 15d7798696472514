"""The ways to predict that a run offers, and how each did on validation."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import lightning as pl
import torch

from imageclf.model import Predictions, Score, average_probabilities
from imageclf.model.weights.averaging import State
from imageclf.model.weights.files import save_tensors
from imageclf.system.files import write_atomically


class Candidate(NamedTuple):
    """A way to predict, and how it did on validation.

    Args:
        files: weights below `snapshots/`; of several the probabilities are averaged.
        members: snapshots whose weights or probabilities are averaged.
        accuracy: on the validation split.
        loss: on the validation split.
    """

    files: list[str]
    members: list[str]
    accuracy: float
    loss: float

    @property
    def score(self) -> Score:
        """How it did."""
        return Score(self.accuracy, self.loss)


def candidate(files: Sequence[str], members: Sequence[str], predictions: Predictions) -> Candidate:
    """Return a candidate by its files' and members' names, and its predictions of the validation split."""
    return Candidate([f"{name}.ckpt" for name in files], list(members), *score_of(predictions))


def score_of(predictions: Predictions) -> Score:
    """Return the score of predictions."""
    return Score(predictions.accuracy, predictions.loss)


def best_candidate(candidates: dict[str, Candidate]) -> str:
    """Return the name of the most accurate candidate; among equals, of the one with the lowest loss."""
    return min(candidates, key=lambda name: candidates[name].score.order)


def mean_predictions(predictions: Sequence[Predictions]) -> Predictions:
    """Return predictions of the same pictures with the mean of their probabilities."""
    # In double, so that the order of the snapshots cannot tip a tie.
    mean = average_probabilities([each.probabilities.double().numpy() for each in predictions])
    return predictions[0]._replace(probabilities=torch.from_numpy(mean))


class SnapshotFolder:
    """Weights and class names in files `NAME.ckpt`; one rank writes, all of them read.

    Args:
        folder: of the files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, name: str) -> bool:
        """Return whether there are weights of that name."""
        return self._path(name).exists()

    def load(self, name: str) -> State:
        """Return weights, on the CPU."""
        content = torch.load(self._path(name), map_location="cpu", weights_only=True)
        state: State = content["state_dict"]
        return state

    def save(
        self, trainer: pl.Trainer, name: str, classes: Sequence[str], weights: Callable[[], State]
    ) -> None:
        """Write weights; a collective call, of which only the first rank asks for the weights."""
        if trainer.is_global_zero:
            save_tensors({"state_dict": weights(), "classes": list(classes)}, self._path(name))
        trainer.strategy.barrier(f"{name} is written")

    def write_list(self, candidates: dict[str, Candidate], best: str) -> None:
        """Write `candidates.json`."""
        rows = {name: each._asdict() for name, each in candidates.items()}
        text = json.dumps({"best": best, "candidates": rows}, indent=2) + "\n"
        path = self._folder / "candidates.json"
        write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.ckpt"
