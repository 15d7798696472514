"""Read the files of a run directory, as far as they exist, and check what a page computes with."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from imageclf import InputError
from imageclf.analysis.predictions_csv import read_classes, read_predictions
from imageclf.configs.keys import accepts
from imageclf.configs.saved.hydra_record import read_overrides
from imageclf.configs.saved.numbers import (
    MOST,
    REMEDY,
    is_share,
    read_json,
    read_metrics,
    read_numbers,
    read_summary,
)
from imageclf.configs.saved.trust import own_modules
from imageclf.configs.saved.untrusted import MAX_CONFIG_BYTES, read_config
from imageclf.system.files import read_limited
from imageclf.system.printable import written
from imageclf.tasks import Task, task_of


class LearningRateSearch(NamedTuple):
    """One search: `curve` has a row per step; `reason` is why there is no suggestion."""

    phase: str
    curve: pd.DataFrame
    suggestion: float | None
    method: str
    reason: str | None


@dataclass(frozen=True)
class CandidateScore:
    """A candidate, its snapshots, and its scores on the validation pictures; accuracy NaN of numbers."""

    name: str
    members: list[str]
    accuracy: float
    loss: float


@dataclass(frozen=True)
class RunFiles:
    """The files of one run; a missing one is an empty table, mapping or text, and `overrides` are None.

    `modules` are those of the user's own that hold its network.
    """

    name: str
    summary: Mapping[str, object]
    metrics: pd.DataFrame
    plan: pd.DataFrame
    searches: list[LearningRateSearch]
    predictions: pd.DataFrame
    candidates: list[CandidateScore]
    classes: list[str]
    config: str
    overrides: list[str] | None
    modules: list[str]

    @property
    def task(self) -> Task:
        """Return the task: a summary names any but the usual one."""
        return task_of(self.summary)

    @property
    def labelled(self) -> pd.DataFrame:
        """Return the predictions of pictures whose truth is known."""
        table = self.predictions
        return table[table["label"] != ""] if len(table) else table

    @property
    def has_labels(self) -> bool:
        """Return whether a picture has any number of labels."""
        return self.task.kind.has_accuracy and not self.task.is_exclusive

    @property
    def has_numbers(self) -> bool:
        """Return whether numbers are predicted of a picture."""
        return not self.task.kind.has_accuracy


def read_run(run_dir: Path) -> RunFiles:
    """Read the files of a run that its report shows.

    Raises:
        InputError: the directory has neither metrics.csv nor summary.json, or a file is damaged.
    """
    if not (run_dir / "metrics.csv").is_file() and not (run_dir / "summary.json").is_file():
        raise InputError(f"{run_dir} has neither metrics.csv nor summary.json: give the directory of a run")
    summary = read_summary(run_dir)
    plan = read_numbers(run_dir / "plan.csv", ("step", "phase"))
    phases = list(dict.fromkeys(plan["phase"])) if "phase" in plan else []
    predictions = run_dir / "predictions" / "valid.csv"
    classes = _classes(summary, predictions)
    run_dir = run_dir.resolve()
    config = run_dir / "config.yaml"
    return RunFiles(
        name=f"{summary.get('experiment') or run_dir.parent.name} / {run_dir.name}",
        summary=summary,
        metrics=read_metrics(run_dir / "metrics.csv"),
        plan=plan,
        searches=_read_searches(run_dir / "lr_find", phases),
        predictions=(
            read_predictions(predictions, classes, not task_of(summary).kind.has_accuracy)
            if predictions.is_file()
            else pd.DataFrame()
        ),
        candidates=read_candidates(run_dir),
        classes=classes,
        config=read_limited(config, MAX_CONFIG_BYTES).decode("utf-8", "replace") if config.is_file() else "",
        overrides=read_overrides(run_dir),
        modules=own_modules(read_config(config)) if config.is_file() else [],
    )


def read_candidates(run_dir: Path) -> list[CandidateScore]:
    """Return the candidates of a run as they were compared; none without validation.

    Raises:
        InputError: the file is damaged.
    """
    path = run_dir / "snapshots" / "candidates.json"
    listed = read_json(path).get("candidates", {})
    try:
        return [_candidate(name, node) for name, node in _mapping(listed).items()]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}): remove it, or run again") from None


def _candidate(name: str, node: Any) -> CandidateScore:
    members = _mapping(node)["members"]
    # What is no number is not in the file.
    accuracy, loss = (node.get(key, math.nan) for key in ("accuracy", "loss"))
    if not accepts(list[str], members) or not accepts(float, loss) or not _is_accuracy(accuracy):
        raise ValueError(f"the scores of {name[:100]}")
    return CandidateScore(name, members, accuracy, loss)


def _is_accuracy(value: Any) -> bool:
    return is_share(value) or (isinstance(value, float) and math.isnan(value))


def _mapping(node: Any) -> dict[str, Any]:
    if not isinstance(node, dict):
        raise TypeError("it is not a mapping")
    return node


def _classes(summary: Mapping[str, object], predictions: Path) -> list[str]:
    # summary.json is written last; while a run is going on, the classes head the table of predictions.
    classes = summary.get("classes")
    if isinstance(classes, list):
        return classes
    return read_classes(predictions) if predictions.is_file() else []


def _read_searches(folder: Path, phases: list[str]) -> list[LearningRateSearch]:
    searches = [_read_search(path) for path in sorted(folder.glob("*.csv"))]
    rank = {phase: index for index, phase in enumerate(phases)}
    return sorted(searches, key=lambda search: rank.get(search.phase, len(rank)))


def _read_search(path: Path) -> LearningRateSearch:
    curve, about = read_numbers(path, ("lr", "loss", "smoothed")), path.with_suffix(".json")
    if curve.empty or bool((curve["lr"] <= 0).any()):
        raise InputError(f"{path} is not the curve of a search: {REMEDY}")
    found = read_json(about)
    suggestion, reason = found.get("suggestion"), found.get("reason")
    is_rate = accepts(float, suggestion) and 0 < suggestion < MOST  # type: ignore[operator]
    if not (suggestion is None or is_rate) or not accepts(str | None, reason):
        raise InputError(f"{about}: suggestion={written(suggestion)[:100]} is no learning rate: {REMEDY}")
    return LearningRateSearch(
        phase=path.stem,
        curve=curve,
        suggestion=float(suggestion) if isinstance(suggestion, int | float) else None,
        method=str(found.get("method", "valley")),
        reason=None if reason is None else str(reason),
    )
