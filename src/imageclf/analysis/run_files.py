"""Read the files of a run directory, as far as they exist."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from imageclf import InputError
from imageclf.analysis.predictions_csv import read_classes, read_predictions
from imageclf.system.hydra_record import read_overrides


@dataclass(frozen=True)
class LearningRateSearch:
    """One search: `curve` has a row per step; `reason` is why there is no suggestion."""

    phase: str
    curve: pd.DataFrame
    suggestion: float | None
    method: str
    reason: str | None


@dataclass(frozen=True)
class CandidateScore:
    """A candidate: the snapshots that it is made of, and its accuracy in 0..1 and mean loss on validation."""

    name: str
    members: list[str]
    accuracy: float
    loss: float


@dataclass(frozen=True)
class RunFiles:
    """The files of one run; a missing one is an empty table, mapping or text, and `overrides` are None."""

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


def read_run(run_dir: Path) -> RunFiles:
    """Read the files of a run that its report shows.

    Raises:
        InputError: the directory has neither metrics.csv nor summary.json, or a JSON file is damaged.
    """
    if not (run_dir / "metrics.csv").is_file() and not (run_dir / "summary.json").is_file():
        raise InputError(f"{run_dir} has neither metrics.csv nor summary.json: give the directory of a run")
    summary = read_json(run_dir / "summary.json")
    metrics, plan = read_numbers(run_dir / "metrics.csv"), read_numbers(run_dir / "plan.csv")
    phases = list(dict.fromkeys(plan["phase"])) if "phase" in plan else []
    predictions = run_dir / "predictions" / "valid.csv"
    classes = _classes(summary, predictions)
    run_dir = run_dir.resolve()
    return RunFiles(
        name=f"{summary.get('experiment') or run_dir.parent.name} / {run_dir.name}",
        summary=summary,
        metrics=metrics,
        plan=plan,
        searches=_read_searches(run_dir / "lr_find", phases),
        predictions=read_predictions(predictions, classes) if predictions.is_file() else pd.DataFrame(),
        candidates=read_candidates(run_dir),
        classes=classes,
        config=_read_text(run_dir / "config.yaml"),
        overrides=read_overrides(run_dir),
    )


def read_candidates(run_dir: Path) -> list[CandidateScore]:
    """Return the candidates of a run as they were compared; none without validation.

    Raises:
        InputError: the file is damaged.
    """
    path = run_dir / "snapshots" / "candidates.json"
    listed: Any = read_json(path).get("candidates", {})
    try:
        return [_candidate(name, node) for name, node in listed.items()]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is damaged: remove it, or run again") from error


def _candidate(name: str, node: Mapping[str, Any]) -> CandidateScore:
    members = [str(member) for member in node["members"]]
    return CandidateScore(name, members, float(node["accuracy"]), float(node["loss"]))


def _classes(summary: Mapping[str, object], predictions: Path) -> list[str]:
    # summary.json is written last; while a run is going on, the classes head the table of predictions.
    classes = summary.get("classes")
    if isinstance(classes, list):
        return [str(name) for name in classes]
    return read_classes(predictions) if predictions.is_file() else []


def read_numbers(path: Path) -> pd.DataFrame:
    """Read a CSV of numbers whose only text is the column `phase`; a blank cell becomes NaN."""
    # A run that was killed in its first epoch may leave an empty file, which pandas refuses.
    if not path.is_file() or path.stat().st_size == 0:
        return pd.DataFrame()
    # As text first: a phase may be called "NA", which pandas takes for a missing value.
    text = pd.read_csv(path, dtype="object", keep_default_na=False)
    for column in text.columns.drop("phase", errors="ignore"):
        text[column] = pd.to_numeric(text[column], errors="coerce")
    return text


def _read_searches(folder: Path, phases: list[str]) -> list[LearningRateSearch]:
    searches = [_read_search(path) for path in sorted(folder.glob("*.csv"))]
    rank = {phase: index for index, phase in enumerate(phases)}
    return sorted(searches, key=lambda search: rank.get(search.phase, len(rank)))


def _read_search(path: Path) -> LearningRateSearch:
    found = read_json(path.with_suffix(".json"))
    suggestion, reason = found.get("suggestion"), found.get("reason")
    return LearningRateSearch(
        phase=path.stem,
        curve=read_numbers(path),
        suggestion=float(suggestion) if isinstance(suggestion, int | float) else None,
        method=str(found.get("method", "valley")),
        reason=None if reason is None else str(reason),
    )


def read_json(path: Path) -> dict[str, object]:
    """Return a JSON object; an empty one if there is no file.

    Raises:
        InputError: the file is damaged.
    """
    try:
        return dict(json.loads(_read_text(path) or "{}"))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path} is damaged ({error}): remove it, or run again") from error


def _read_text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
