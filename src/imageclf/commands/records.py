"""Find runs and read them, finished or not."""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from stat import S_ISREG
from typing import Any, TypeVar

import pandas as pd

from imageclf import InputError
from imageclf.analysis.predictions_csv import read_predictions
from imageclf.analysis.run_settings import UNKNOWN, RunRecord, flatten
from imageclf.analysis.search import SearchRecord, search_record
from imageclf.configs import read_config
from imageclf.configs.saved.hydra_record import command_of, read_choices
from imageclf.configs.saved.numbers import read_json, read_metrics, read_summary
from imageclf.launch.sweep_folder import FILE as SWEEP
from imageclf.launch.sweep_folder import RESULTS
from imageclf.schedule import Schedule
from imageclf.system.locks import FILE as LOCK
from imageclf.system.words import first_line
from imageclf.tasks import task_of, task_with
from imageclf.training.differences import ADDED_GROUPS, with_added

log = logging.getLogger(__name__)

T = TypeVar("T")
Plain = dict[str, object]

# Any of these next to a config.yaml shows that it belongs to a run.
_STARTED = {"train.log", "split.csv", "metrics.csv"}
# Why a folder is no run: it is one of imageclf-plan, imageclf-analyse and so on.
OTHER = "another command wrote it"
_NO_CONFIG = "there is no config.yaml: the training ended before it began"
# A run writes a file at the end of each epoch and at each checkpoint; it counts as stopped after this many
# times as long without one.
_PATIENCE = 3
_LEAST_SECONDS = 600.0


def find_folders(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield the folders of a tree that hold a file of a run, with "" or why they are no run.

    Folders inside a run are not searched. A job that failed before it had a config counts, if it left a
    failed.json.
    """
    for folder, below, files in os.walk(root):
        has_hydra = ".hydra" in below
        # Hidden folders hold Hydra's copies of configs.
        below[:] = sorted(name for name in below if not name.startswith("."))
        has_started = not _STARTED.isdisjoint(files) or has_hydra
        if ("config.yaml" in files and has_started) or not {"failed.json", "summary.json"}.isdisjoint(files):
            below.clear()
            yield Path(folder), ""
        elif "config.yaml" in files:
            yield Path(folder), "config.yaml lies alone there, without a log or results"
        elif has_started:
            place = Path(folder)
            is_other = _read_or(place, "", partial(command_of, place)) not in ("", "train")
            yield Path(folder), OTHER if is_other else _NO_CONFIG


def find_searches(root: Path, run_dirs: Iterable[Path]) -> list[SearchRecord]:
    """Return the searches below a folder that some runs belong to; one that cannot be read is warned of."""
    folders = dict.fromkeys(folder for run_dir in run_dirs for folder in run_dir.parents)
    searches = [folder for folder in folders if folder.is_relative_to(root) and (folder / RESULTS).is_file()]
    found = [_read_or(folder / RESULTS, None, partial(_read_search, folder, root)) for folder in searches]
    return [search for search in found if search is not None]


def _read_search(folder: Path, root: Path) -> SearchRecord:
    return search_record(name_of(folder, root), read_config(folder / RESULTS))


def read_record(run_dir: Path, root: Path) -> RunRecord:
    """Read a run; a missing file is taken as empty, and so is a damaged one, with a warning."""
    config = _read_or(run_dir, Plain(), lambda: _read_config(run_dir))
    summary = _read_or(run_dir, Plain(), lambda: read_summary(run_dir))
    failure = _read_or(run_dir, Plain(), lambda: read_json(run_dir / "failed.json"))
    metrics = _read_or(run_dir, pd.DataFrame(), lambda: read_metrics(run_dir / "metrics.csv"))
    flat = flatten(config)
    listed = summary.get("classes")
    classes = [str(name) for name in listed] if isinstance(listed, list) else []
    predictions = pd.DataFrame()
    # Large, and needed only to join folds.
    if flat.get("data.fold") is not None and classes:
        path = run_dir / "predictions" / "valid.csv"
        predictions = _read_or(run_dir, predictions, lambda: _read_fold(path, classes, summary))
    report = run_dir / "report.html"
    status = status_of(run_dir, summary, failure, _patience(flat, metrics))
    # What a search ends early has not failed.
    has_failed = not summary and status != "pruned"
    return RunRecord(
        name=name_of(run_dir, root),
        status=status,
        cause=" ".join(str(failure.get("cause") or "").split()) if has_failed else "",
        # A key that the run's version had not is no setting in which it differs.
        config=flatten(with_added(config)),
        choices=_read_or(run_dir, {}, lambda: _read_options(run_dir)),
        summary=summary,
        metrics=metrics,
        epochs=_read_or(run_dir, None, lambda: _num_epochs(config)),
        task=_read_or(run_dir, task_of(summary), lambda: task_with(summary, flat)),
        predictions=predictions,
        classes=classes,
        report=str(report.absolute()) if report.exists() else "",
    )


def status_of(
    run_dir: Path, summary: Mapping[str, object], failure: Mapping[str, object], patience: float
) -> str:
    """Return finished, the status in failed.json, running, pending or stopped.

    A run is running while it holds its lock. If it has no lock file, it is pending if it has written nothing
    yet, such as a job in a queue; else the age of its newest file decides.

    `patience` is after how many seconds without a new file a run is taken to have stopped. The summary is
    empty until the run is finished, and `failure` is what failed.json holds.
    """
    if summary:
        return "finished"
    locked = is_locked(run_dir / LOCK)
    if locked:
        return "running"
    if failure:
        return str(failure.get("status") or "failed")
    if locked is None and not any((run_dir / name).exists() for name in (*_STARTED, "checkpoints")):
        return "pending"
    is_recent = locked is None and time.time() - _newest(run_dir) < patience
    return "running" if is_recent else "stopped"


def is_locked(path: Path) -> bool | None:
    """Return whether another process holds a lock on a file; None without a file, or if locks do not work."""
    try:
        with path.open("rb") as file:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    except OSError:
        return None
    return False


def _newest(run_dir: Path) -> float:
    """Return the time of the newest file of a run, at most one level down."""
    paths = [*run_dir.glob("*"), *run_dir.glob("*/*")]
    # A temporary file may be gone by now.
    found = [stat for path in paths if (stat := _read_or(path, None, path.lstat)) is not None]
    return max((stat.st_mtime for stat in found if S_ISREG(stat.st_mode)), default=0.0)


def _patience(config: Mapping[str, object], metrics: pd.DataFrame) -> float:
    minutes = config.get("callbacks.checkpoint.every_n_minutes")
    between = 60 * float(minutes) if isinstance(minutes, int | float) else 0.0
    longest = float(metrics["seconds"].max()) if "seconds" in metrics and len(metrics) else 0.0
    return max(_LEAST_SECONDS, _PATIENCE * between, _PATIENCE * longest)


def is_job(run_dir: Path) -> bool:
    """Return whether a run is one of a sweep: the folder of the sweep is around it."""
    return any((folder / SWEEP).exists() for folder in run_dir.absolute().parents)


def name_of(run_dir: Path, root: Path) -> str:
    """Return the name of a run: its path below the root."""
    return run_dir.relative_to(root).as_posix() if run_dir != root else run_dir.resolve().name


def _read_config(run_dir: Path) -> dict[str, object]:
    if (run_dir / "config.yaml").exists():
        # Unresolved: references to environment variables stay as they are.
        return read_config(run_dir / "config.yaml")
    raw = run_dir / ".hydra" / "config.yaml"
    return _without_references(read_config(raw)) if raw.exists() else {}


def _read_options(run_dir: Path) -> dict[str, str]:
    choices = read_choices(run_dir)
    return {**ADDED_GROUPS, **choices} if choices else {}


def _without_references(node: Any) -> Any:
    """Return an unresolved config with `UNKNOWN` in place of each reference."""
    if isinstance(node, dict):
        return {str(key): _without_references(value) for key, value in node.items()}
    return UNKNOWN if isinstance(node, str) and "${" in node else node


def _num_epochs(config: Mapping[str, object]) -> int | None:
    node = config.get("schedule")
    phases = node.get("phases") if isinstance(node, dict) else None
    # A run that ended before its config was resolved may have left references.
    if not phases or UNKNOWN in flatten(phases).values():
        return None
    return Schedule.from_plain(phases).epochs


def _read_fold(path: Path, classes: list[str], summary: Plain) -> pd.DataFrame:
    """Return the predictions of a fold; a summary names any but the usual task."""
    task = task_of(summary)
    if summary.get("task", task.name) != task.name:
        raise InputError(
            f"imageclf-collect does not join folds of task={summary['task']}; their scores are listed"
        )
    return read_predictions(path, classes, are_numbers=not task.kind.has_accuracy)


def _read_or(place: Path, default: T, read: Callable[[], T]) -> T:
    """Return what `read` returns, or the default, with a warning unless the file is just missing.

    The warning names `place`: what is read, or the folder that holds it.
    """
    try:
        return read()
    except FileNotFoundError:
        return default
    # Anyone may have written the file, or be writing it: what is in it may raise anything.
    except Exception as error:
        log.warning("%s: what cannot be read is taken as missing: %s", place, first_line(error))
        return default
