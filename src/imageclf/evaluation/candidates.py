"""The candidates of a run: weights, or several of them, to predict with, and their scores on validation."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning as pl
import torch

from imageclf import InputError
from imageclf.analysis.crossfit import Crossfitted, PictureScores, Rule, crossfitted, stacked
from imageclf.configs import read_object
from imageclf.model.module import ClassifierModule
from imageclf.model.predictions import Predictions
from imageclf.model.weights.averaging import State, average_probabilities
from imageclf.model.weights.files import save_tensors
from imageclf.model.weights.soup import Score
from imageclf.system.files import inside, write_json

# Candidates that are made of several weights; their scores are results of the run.
MIXED = ("average", "average_bn", "soup", "soup_bn", "ensemble", "ema")


class Candidate(NamedTuple):
    """A way to predict, and its scores on the validation split: an accuracy (NaN of numbers) and a loss.

    `files` are weights below `snapshots/`, whose probabilities are averaged; `members` are the snapshots
    whose weights or probabilities are.
    """

    files: list[str]
    members: list[str]
    accuracy: float
    loss: float

    @property
    def score(self) -> Score:
        """Accuracy and loss."""
        return Score(self.accuracy, self.loss)

    @property
    def named(self) -> dict[str, float]:
        """The scores that there are, by their names in summary.json."""
        return known({"acc": self.accuracy, "loss": self.loss})


class Validated(NamedTuple):
    """A candidate with its predictions of the validation split, which are on the CPU.

    `choices` are the scores of what the split chose among to make it: of a soup those of the mixtures that
    were tried, of any other candidate its own.
    """

    candidate: Candidate
    predictions: Predictions
    choices: Sequence[PictureScores]

    @property
    def order(self) -> tuple[float, float]:
        """A key that sorts the best first."""
        return self.candidate.score.order


def known(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values but NaN, which JSON does not have."""
    return {name: value for name, value in values.items() if value == value}


def validated(files: Sequence[str], members: Sequence[str], predictions: Predictions) -> Validated:
    """Return a candidate with the scores of its predictions of the validation split."""
    paths = [f"{name}.ckpt" for name in files]
    candidate = Candidate(paths, list(members), predictions.accuracy, predictions.loss)
    return Validated(candidate, predictions, [PictureScores(predictions.right, predictions.losses)])


def chosen(found: Mapping[str, Validated], rule: Rule) -> str:
    """Return the name of the candidate that the validation split chooses; the final weights come first."""
    scores = [PictureScores(each.predictions.right, each.predictions.losses) for each in found.values()]
    return list(found)[rule(stacked(scores))]


def crossfitted_choice(found: Mapping[str, Validated], seed: int, rule: Rule) -> Crossfitted | None:
    """Return the accuracy of the chosen one of the candidates on pictures that did not choose it.

    A soup may be chosen among those that were tried; see `crossfitted`. None if there are too few pictures,
    or no accuracy.
    """
    choices = [scores for each in found.values() for scores in each.choices]
    predictions = next(iter(found.values())).predictions
    if not predictions.task.kind.has_accuracy:
        return None
    return crossfitted(choices, predictions.task.strata(predictions.labels.numpy()), seed, rule)


def mean_predictions(predictions: Sequence[Predictions]) -> Predictions:
    """Return predictions of the same pictures with the mean of their probabilities."""
    # In double precision, so that the order of the snapshots cannot decide a tie.
    mean = average_probabilities([each.probabilities.double().numpy() for each in predictions])
    return predictions[0]._replace(probabilities=torch.from_numpy(mean))


class SnapshotFolder:
    """A folder of files `NAME.ckpt` with weights and class names; the first rank writes, all ranks read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, name: str) -> bool:
        """Return whether there are weights of this name."""
        return self._path(name).exists()

    def load(self, name: str) -> State:
        """Return weights, on the CPU."""
        content = torch.load(self._path(name), map_location="cpu", weights_only=True)
        state: State = content["state_dict"]
        return state

    def save(
        self, trainer: pl.Trainer, name: str, module: ClassifierModule, weights: Callable[[], State]
    ) -> None:
        """Write weights of a module; a collective call, in which only the first rank calls `weights`."""
        if trainer.is_global_zero:
            save_tensors({"state_dict": weights(), **module.weights_note()}, self._path(name))
        trainer.strategy.barrier(f"{name} is written")

    def write_list(self, candidates: dict[str, Candidate], best: str, reported: str) -> None:
        """Write `candidates.json`."""
        rows = {name: known(each._asdict()) for name, each in candidates.items()}
        content = {"best": best, "reported": reported, "candidates": rows}
        write_json(self._folder / "candidates.json", content)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.ckpt"


def candidate_files(run_dir: Path, name: str) -> list[Path]:
    """Return the files of weights of a candidate of a run.

    `name` is best, which is the one that the run reports, final, one of MIXED, or PHASE-CYCLE.

    Raises:
        InputError: the run has no such candidate, or its list names files outside the run.
    """
    folder = run_dir / "snapshots"
    reported, candidates = _read_list(folder)
    chosen = reported if name == "best" else name
    if chosen in candidates:
        return [inside(folder, file) for file in candidates[chosen]]
    # Without validation nothing is compared, but there are final weights.
    if chosen == "final" and (folder / "final.ckpt").exists():
        return [inside(folder, "final.ckpt")]
    raise InputError(f"weights={name}: {run_dir} offers {', '.join(['best', *candidates])}")


def _read_list(folder: Path) -> tuple[str, dict[str, list[Any]]]:
    """Return the name of the reported candidate, and the files of each."""
    path = folder / "candidates.json"
    # A broken link must be refused below.
    if not path.exists() and not path.is_symlink():
        return "final", {}
    content = read_object(inside(folder, path.name))
    # Runs of earlier versions report the best.
    reported, candidates = content.get("reported", content.get("best")), content.get("candidates")
    if not isinstance(reported, str) or not isinstance(candidates, dict):
        raise InputError(f"{path} is damaged: it does not say which candidate is the best")
    return reported, {name: _files_of(node, name, path) for name, node in candidates.items()}


def _files_of(node: Any, name: str, path: Path) -> list[Any]:
    files = node.get("files") if isinstance(node, dict) else None
    if not isinstance(files, list) or not files:
        raise InputError(f"{path} is damaged: candidate {name[:100]} has no list of files")
    return files
