"""Read what there is of a run, at any moment of its life."""

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from stat import S_ISREG
from typing import TypeVar

import pandas as pd
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from imageclf import InputError
from imageclf.analysis import RunRecord, flatten, read_predictions
from imageclf.analysis.run_files import read_json, read_numbers
from imageclf.analysis.run_settings import UNKNOWN
from imageclf.schedule import Schedule
from imageclf.system.locks import FILE as LOCK

log = logging.getLogger(__name__)

T = TypeVar("T")
Plain = dict[str, object]

# Beside a config.yaml any of these says that it is one of a run.
_BEGUN = {"train.log", "split.csv", "metrics.csv"}
# A run writes a file at each epoch's end and at each checkpoint; so many times as long is too quiet.
_PATIENCE = 3
_LEAST_SECONDS = 600.0


def find_runs(root: Path) -> Iterator[Path]:
    """Yield the run directories of a tree, in order; nothing is looked for inside of a run.

    A job that failed before it had a config counts, if it says so in failed.json.
    """
    for folder, below, files in os.walk(root):
        # Hidden folders hold Hydra's copies of configs.
        below[:] = sorted(name for name in below if not name.startswith("."))
        begun = not _BEGUN.isdisjoint(files) or Path(folder, ".hydra").is_dir()
        started = "config.yaml" in files and begun
        if started or "failed.json" in files or "summary.json" in files:
            below.clear()
            yield Path(folder)


def read_record(run_dir: Path, root: Path) -> RunRecord:
    """Read a run; a file that is missing or half written counts as not there, and the latter is said."""
    config = _whole(partial(_read_config, run_dir), Plain())
    summary = _whole(partial(read_json, run_dir / "summary.json"), Plain())
    failure = _whole(partial(read_json, run_dir / "failed.json"), Plain())
    metrics = _whole(lambda: read_numbers(run_dir / "metrics.csv"), pd.DataFrame())
    flat = flatten(config)
    listed = summary.get("classes")
    classes = [str(name) for name in listed] if isinstance(listed, list) else []
    # Large, and of use only where folds are joined.
    has_fold = flat.get("data.fold") is not None and bool(classes)
    path = run_dir / "predictions" / "valid.csv"
    return RunRecord(
        name=run_dir.relative_to(root).as_posix() if run_dir != root else run_dir.resolve().name,
        status=status_of(run_dir, summary, failure, _patience(flat, metrics)),
        cause=" ".join(str(failure.get("cause") or "").split()) if not summary else "",
        config=flat,
        choices=_whole(lambda: _read_choices(run_dir), {}),
        summary=summary,
        metrics=metrics,
        epochs=_whole(lambda: _num_epochs(config), None),
        predictions=_whole(lambda: read_predictions(path, classes), pd.DataFrame())
        if has_fold
        else pd.DataFrame(),
        classes=classes,
        report=str(report.absolute()) if (report := run_dir / "report.html").exists() else "",
    )


def status_of(
    run_dir: Path, summary: Mapping[str, object], failure: Mapping[str, object], patience: float
) -> str:
    """Return finished, what failed.json says, running or stopped.

    A run that holds its lock is running, one that has let go of it is not. Without a lock the age of its
    newest file decides.

    Args:
        run_dir: of the run.
        summary: empty before the run is finished.
        failure: content of failed.json.
        patience: seconds without a new file after which a run has stopped.
    """
    if summary:
        return "finished"
    locked = is_locked(run_dir / LOCK)
    if locked:
        return "running"
    if failure:
        return str(failure.get("status") or "failed")
    if locked is False:
        return "stopped"
    return "running" if time.time() - _newest(run_dir) < patience else "stopped"


def is_locked(path: Path) -> bool | None:
    """Return whether another process holds a lock on a file; None where there is no file or no locks."""
    try:
        with path.open("rb") as file:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return True
    except OSError:
        return None
    return False


def _newest(run_dir: Path) -> float:
    """Return the time of the newest file of a run, also one level down."""
    paths = [*run_dir.glob("*"), *run_dir.glob("*/*")]
    # A file may be gone by now: each one is written under another name first.
    found = [stat for path in paths if (stat := _whole(path.lstat, None)) is not None]
    return max((stat.st_mtime for stat in found if S_ISREG(stat.st_mode)), default=0.0)


def _patience(config: Mapping[str, object], metrics: pd.DataFrame) -> float:
    minutes = config.get("callbacks.checkpoint.every_n_minutes")
    between = 60 * float(minutes) if isinstance(minutes, int | float) else 0.0
    longest = float(metrics["seconds"].max()) if "seconds" in metrics and len(metrics) else 0.0
    return max(_LEAST_SECONDS, _PATIENCE * between, _PATIENCE * longest)


def _read_config(run_dir: Path) -> dict[str, object]:
    if (run_dir / "config.yaml").exists():
        # As written: what comes from the environment stays a name.
        return _mapping(run_dir / "config.yaml")
    raw = run_dir / ".hydra" / "config.yaml"
    return _without_references(_mapping(raw)) if raw.exists() else {}


def _read_choices(run_dir: Path) -> dict[str, str]:
    """Return the option of each config group that Hydra has written down, but for its own groups."""
    path = run_dir / ".hydra" / "hydra.yaml"
    if not path.exists():
        return {}
    choices = OmegaConf.select(OmegaConf.load(path), "hydra.runtime.choices") or {}
    return {str(group): str(option) for group, option in choices.items() if not group.startswith("hydra/")}


def _mapping(path: Path) -> dict[str, object]:
    plain = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
    return {str(key): value for key, value in plain.items()} if isinstance(plain, dict) else {}


def _without_references(node: object) -> dict[str, object]:
    """Return a config in which nothing was resolved yet, with what cannot be told marked so."""
    if not isinstance(node, dict):
        raise InputError("the config is not a mapping")
    return {
        str(key): _without_references(value)
        if isinstance(value, dict)
        else (UNKNOWN if isinstance(value, str) and "${" in value else value)
        for key, value in node.items()
    }


def _num_epochs(config: Mapping[str, object]) -> int | None:
    node = config.get("schedule")
    phases = node.get("phases") if isinstance(node, dict) else None
    return Schedule.from_plain(phases).epochs if phases else None


def _whole(read: Callable[[], T], otherwise: T) -> T:
    """Return what can be read, or say what cannot and go on."""
    try:
        return read()
    except FileNotFoundError:
        return otherwise
    except (InputError, OSError, ValueError, TypeError, YAMLError, OmegaConfBaseException) as error:
        log.warning("left out: %s", str(error).splitlines()[0])
        return otherwise
