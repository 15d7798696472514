"""Read the files of a run directory, as far as they exist, and check what a page computes with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imageclf import InputError
from imageclf.analysis.predictions_csv import read_classes, read_predictions
from imageclf.configs import read_object
from imageclf.configs.keys import accepts
from imageclf.configs.saved.hydra_record import read_overrides
from imageclf.configs.saved.untrusted import MAX_CONFIG_BYTES, read_if_there
from imageclf.system.cells import read_csv
from imageclf.system.files import read_limited
from imageclf.system.machine import Machine
from imageclf.system.printable import written

_REMEDY = "remove it, or run again"
# In summary.json: whole numbers, and values of a type.
_COUNTS = ("epochs", "size", "num_train", "num_valid", "num_test", "num_workers", "model/pictures")
_TYPES: Mapping[str, Any] = Machine.__annotations__ | {"experiment": str, "model": str, "best": str}
_MOST = 10**12
# A float32 goes up to 3e38, and matplotlib to some 1e300.
_MOST_DRAWN = 1e40


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
        InputError: the directory has neither metrics.csv nor summary.json, or a file is damaged.
    """
    if not (run_dir / "metrics.csv").is_file() and not (run_dir / "summary.json").is_file():
        raise InputError(f"{run_dir} has neither metrics.csv nor summary.json: give the directory of a run")
    summary = read_summary(run_dir)
    metrics, plan = (
        read_metrics(run_dir / "metrics.csv"),
        read_numbers(run_dir / "plan.csv", ("step", "phase")),
    )
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
    listed = read_json(path).get("candidates", {})
    try:
        return [_candidate(name, node) for name, node in _mapping(listed).items()]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}): remove it, or run again") from None


def _candidate(name: str, node: Any) -> CandidateScore:
    members, accuracy, loss = (_mapping(node)[key] for key in ("members", "accuracy", "loss"))
    if not accepts(list[str], members) or not accepts(float, loss) or not _is_share(accuracy):
        raise ValueError(f"the scores of {name[:100]}")
    return CandidateScore(name, members, accuracy, loss)


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


def read_summary(run_dir: Path) -> dict[str, object]:
    """Return summary.json; an empty mapping while a run is going on.

    Raises:
        InputError: the file is damaged, or has a value that no run writes.
    """
    path = run_dir / "summary.json"
    summary = read_json(path)
    for name, value in summary.items():
        if value is not None and not _is_legal(name, value):
            raise InputError(f"{path}: {name}={written(value)[:100]}: no run writes that; run again")
    return summary


def _is_legal(name: str, value: object) -> bool:
    """Return whether a value may stand under a name in summary.json."""
    if name == "classes":
        return accepts(list[str], value) and len(set(value)) == len(value)  # type: ignore[arg-type,call-overload]
    if name in _COUNTS:
        return accepts(int, value) and 0 <= value <= _MOST  # type: ignore[operator]
    if name == "seconds":
        return accepts(float, value) and 0 <= value <= _MOST  # type: ignore[operator]
    if "/acc" in name:
        return _is_share(value)
    if name in ("model/loss", "val/loss", "val/loss_tta", "test/loss"):
        return accepts(float, value)
    return accepts(_TYPES.get(name, object), value)


def _is_share(value: Any) -> bool:
    """Return whether a value is an accuracy, or a difference of two."""
    return accepts(float, value) and -1 <= value <= 1


def read_metrics(path: Path) -> pd.DataFrame:
    """Return the rows of a metrics.csv, one per epoch.

    Raises:
        InputError: the file is damaged, or a row has no epoch.
    """
    rows = read_numbers(path, ("epoch", "phase"))
    shares = rows.filter(regex="/acc")
    if bool((shares.abs() > 1).any(axis=None)):
        raise InputError(f"{path} has an accuracy outside of 0 to 1: {_REMEDY}")
    return rows


def read_numbers(path: Path, needed: tuple[str, ...]) -> pd.DataFrame:
    """Read a CSV of numbers whose only text is the column `phase`; a blank cell becomes NaN.

    Args:
        path: of the CSV; without one, or with an empty one, the table is empty.
        needed: columns of which no number may be missing.

    Raises:
        InputError: it is damaged, or a number is one that no run writes.
    """
    # A run that was killed in its first epoch may leave an empty file.
    if not path.is_file() or path.stat().st_size == 0:
        return pd.DataFrame()
    # As text first: a phase may be called "NA", which pandas takes for a missing value.
    table = read_csv(path)
    missing = [name for name in needed if name not in table]
    if missing:
        raise InputError(f"{path} has no column {missing[0]}: {_REMEDY}")
    for column in table.columns.drop("phase", errors="ignore"):
        table[column] = pd.to_numeric(table[column], errors="coerce").astype("float64")
        _check_numbers(table[column], column in needed, path)
    return table


def _check_numbers(values: pd.Series, is_needed: bool, path: Path) -> None:
    """Refuse numbers that cannot be drawn; only a score or a loss may be infinite."""
    name = str(values.name)
    is_score = name in ("loss", "smoothed") or ("/" in name and not name.startswith("lr/"))
    odd = values[(values.abs() > _MOST_DRAWN) & ~(is_score & np.isinf(values))]
    if len(odd) or (is_needed and bool(values.isna().any())):
        found = f"{odd.iloc[0]:g}" if len(odd) else "a cell that is no number"
        raise InputError(f"{path} has {found} in the column {name[:100]}: {_REMEDY}")


def _read_searches(folder: Path, phases: list[str]) -> list[LearningRateSearch]:
    searches = [_read_search(path) for path in sorted(folder.glob("*.csv"))]
    rank = {phase: index for index, phase in enumerate(phases)}
    return sorted(searches, key=lambda search: rank.get(search.phase, len(rank)))


def _read_search(path: Path) -> LearningRateSearch:
    curve, about = read_numbers(path, ("lr",)), path.with_suffix(".json")
    if not {"loss", "smoothed"} <= set(curve) or bool((curve["lr"] <= 0).any()):
        raise InputError(f"{path} is not the curve of a search: {_REMEDY}")
    found = read_json(about)
    suggestion, reason = found.get("suggestion"), found.get("reason")
    is_rate = accepts(float, suggestion) and 0 < suggestion < _MOST  # type: ignore[operator]
    if not (suggestion is None or is_rate) or not accepts(str | None, reason):
        raise InputError(f"{about}: suggestion={written(suggestion)[:100]} is no learning rate: {_REMEDY}")
    return LearningRateSearch(
        phase=path.stem,
        curve=curve,
        suggestion=float(suggestion) if isinstance(suggestion, int | float) else None,
        method=str(found.get("method", "valley")),
        reason=None if reason is None else str(reason),
    )


def read_json(path: Path) -> dict[str, Any]:
    """Return a JSON object; an empty one if there is no file.

    Raises:
        InputError: the file is damaged.
    """
    return read_if_there(path, read_object, {})


def _read_text(path: Path) -> str:
    if not path.is_file():
        return ""
    return read_limited(path, MAX_CONFIG_BYTES).decode("utf-8", "replace")
