"""Where a run may lie: by itself, in a folder that holds nothing of others."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from imageclf import InputError
from imageclf.configs import read_config
from imageclf.system.cells import read_csv

# Top-level keys that every config.yaml of a run has.
_KEYS = frozenset({"data", "model", "schedule", "callbacks", "trainer"})
# What a run writes, and would overwrite.
_WRITTEN = (
    "config.yaml",
    "split.csv",
    "metrics.csv",
    "summary.json",
    "checkpoints",
    "snapshots",
    "predictions",
)
_ALSO = ("report.html", "plan.csv", "plan.png", "config_tree.log", "lr_find")
# A folder that one of these commands has written into may get a run: the plan is then made anew.
_OURS = ("plan.log", "lr_find.log", "batch_size.log")
# What Hydra has made by the time that a run is refused.
_HYDRAS = frozenset({".hydra", "train.log"})
# What it writes as files.
_FILES = ("config.yaml", "split.csv", "plan.csv", "plan.png", "metrics.csv", "summary.json", "report.html")
# What is made before the first epoch, of the old config.
_PREPARED = ("split.csv", "plan.csv", "plan.png", "metrics.csv", "config_tree.log", "lr_find", "loggers.json")


def holds_run(folder: Path) -> bool:
    """Return whether a folder holds a run, begun or not: a config.yaml that no other program writes."""
    try:
        return read_config(folder / "config.yaml").keys() >= _KEYS
    except InputError:
        # A damaged one is refused by whoever reads it.
        return (folder / "config.yaml").is_file() and (folder / ".hydra").is_dir()


def has_begun(folder: Path) -> bool:
    """Return whether anything of a run would be lost: a checkpoint, an epoch in metrics.csv, a result."""
    kept = [*folder.glob("checkpoints/*.ckpt"), *folder.glob("snapshots/*.ckpt")]
    return bool(kept) or (folder / "summary.json").exists() or _num_rows(folder / "metrics.csv") > 0


def check_location(folder: Path) -> None:
    """Refuse a folder that would mix a run with another one, or with files of other programs."""
    outer = _run_in(folder.absolute().parents)
    if outer is not None:
        raise InputError(f"{folder} lies inside the run {outer}: choose another hydra.run.dir or task_name")
    blocked = next((folder / name for name in _FILES if (folder / name).is_dir()), None)
    if blocked is not None:
        raise InputError(f"{blocked} is a folder, and a run writes a file there: remove it")
    if holds_run(folder):
        return
    inner = next(_runs_inside(folder), None)
    if inner is not None:
        raise InputError(f"{folder} holds other runs, such as {inner}: choose another hydra.run.dir")
    is_planned = any((folder / name).is_file() for name in _OURS)
    foreign = [name for name in (*_WRITTEN, *(() if is_planned else _ALSO)) if (folder / name).exists()]
    if foreign:
        raise InputError(
            f"{folder} holds {', '.join(foreign)}, but no run of imageclf, which would overwrite them: "
            "choose another hydra.run.dir"
        )


def check_sweep_location(folder: Path) -> None:
    """Refuse a folder of a sweep that is a run, or lies inside one."""
    outer = _run_in((folder.absolute(), *folder.absolute().parents))
    if outer is not None:
        raise InputError(f"{folder} lies in the run {outer}: choose another hydra.sweep.dir or task_name")


def remove_refused_run(folder: Path) -> None:
    """Remove what Hydra has written of a run whose place was refused, and the folders that it made for it."""
    if not folder.is_dir():
        return
    if {path.name for path in folder.iterdir()} <= _HYDRAS:
        shutil.rmtree(folder)
        folder = folder.parent
    with suppress(OSError):  # It holds something.
        while True:
            folder.rmdir()
            folder = folder.parent


def clear_unbegun(folder: Path) -> None:
    """Remove what a run has prepared that never began: it was made for another config."""
    for path in (folder / name for name in _PREPARED):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _run_in(folders: Iterable[Path]) -> Path | None:
    return next((each for each in folders if holds_run(each)), None)


def _runs_inside(folder: Path) -> Iterator[Path]:
    """Yield runs up to two levels below a folder."""
    found = [*folder.glob("*/config.yaml"), *folder.glob("*/*/config.yaml")]
    for path in found:
        is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not is_hidden and holds_run(path.parent):
            yield path.parent


def _num_rows(path: Path) -> int:
    if not path.is_file():
        return 0
    try:
        return len(read_csv(path))
    except InputError:
        # Whatever it holds may be all that is left of a run.
        return int(path.stat().st_size > 0)
