"""The folder of a sweep. Its multirun.yaml says what was swept, so that only the same sweep goes on there."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf, read_write

from imageclf import InputError
from imageclf.system.world import restarted
from imageclf.training.differences import FREE, RANKS, Change, is_free, key_of
from imageclf.training.location import check_sweep_location

FILE = "multirun.yaml"
# What a search writes there: its best run, and all its trials.
RESULTS = "optimization_results.yaml"
# These say how to resume a sweep, not what is swept.
_HOW = ("resume_sweep=", "ckpt_path=auto")


def choose_folder(config: DictConfig) -> None:
    """Point a resumed sweep to its folder, before Hydra writes multirun.yaml again.

    It sets `hydra.sweep.dir` in the config.

    Raises:
        InputError: there is no sweep to resume, it is another one, or a new one would mix with it.
    """
    resumed = config.resume_sweep
    if resumed is not None:
        if any(each.startswith("hydra.sweep.dir=") for each in config.hydra.overrides.hydra):
            raise InputError(f"resume_sweep={resumed}: leave out hydra.sweep.dir, the sweep has its folder")
        if not Path(resumed, FILE).is_file():
            raise InputError(f"resume_sweep={resumed}: no sweep is there, {FILE} is missing")
        with read_write(config.hydra):
            config.hydra.sweep.dir = resumed
    folder = Path(str(config.hydra.sweep.dir))
    check_sweep_location(folder)
    if not (folder / FILE).is_file() or (resumed is None and is_empty(folder)):
        return
    if resumed is None and not goes_on(config.ckpt_path):
        raise InputError(
            f"{folder} holds a sweep already: continue it with resume_sweep={folder}, "
            "or choose another hydra.sweep.dir"
        )
    saved = OmegaConf.load(folder / FILE)
    held = () if config.data.get("global_batch_size") else RANKS
    was, now = (overrides_of(each.hydra.overrides.task, held) for each in (saved, config))
    if was != now:
        may_change = ", ".join(each for each in FREE if each not in (*held, "ckpt_path"))
        raise InputError(
            f"{folder} was started as another sweep, with {difference(was, now)}: leave out what changes "
            f"that to go on, or choose another hydra.sweep.dir; only {may_change} may change"
        )


def goes_on(ckpt_path: str | None) -> bool:
    """Return whether a command continues what it finds: it says so, or SLURM has requeued its job."""
    return ckpt_path == "auto" or restarted(os.environ)


def choose_run(config: DictConfig, run_dir: str) -> None:
    """Point a sweep of one job to the directory of its run, which may have begun elsewhere."""
    with read_write(config.hydra):
        config.hydra.sweep.dir = run_dir
        config.hydra.sweep.subdir = "."


def overrides_of(typed: Sequence[object], held: Sequence[str] = ()) -> list[str]:
    """Return the overrides that decide on the results, in the order that numbers the jobs.

    What may change when a run goes on is left out, unless several of its values are swept.

    `held` are keys that must not change, although those of a single run might.

    >>> overrides_of(["cluster.minutes=9", "seed=1,2", "tags=[a],[b]", "resume_sweep=runs/1"])
    ['seed=1,2', 'tags=[a],[b]']
    """
    # The program itself adds a + where it is missing.
    overrides = [str(each).lstrip("+") for each in typed]
    overrides = [each for each in overrides if not each.startswith(_HOW)]
    held = (*held, "ckpt_path")
    parsed = OverridesParser.create().parse_overrides(overrides)
    keys = [key_of(each) for each in overrides]
    return [
        text
        for text, key, each in zip(overrides, keys, parsed, strict=True)
        if each.is_sweep_override() or key in held or not is_free(key)
    ]


def is_empty(folder: Path) -> bool:
    """Return whether no job of the sweep has started; submitit's own files are hidden."""
    return all(path.name == FILE or path.name.startswith(".") for path in folder.iterdir())


def remove_refused(folder: Path) -> None:
    """Remove what Hydra has written of a sweep that was refused before any job started."""
    if folder.is_dir() and is_empty(folder):
        (folder / FILE).unlink(missing_ok=True)
        with suppress(OSError):  # It holds hidden files.
            folder.rmdir()


def difference(was: list[str], now: list[str]) -> str:
    """Describe how two lists of overrides differ.

    >>> difference(["seed=1,2", "data=csv"], ["seed=1,2,3", "model=resnet34"])
    'seed=1,2 (now 1,2,3), data=csv (now none), no model (now resnet34)'
    """
    before, after = (
        {key_of(each): "removed" if each.startswith("~") else each.partition("=")[2] for each in typed}
        for typed in (was, now)
    )
    changed = [
        str(Change(key, before.get(key), after.get(key)))
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key)
    ]
    return ", ".join(changed) or f"its overrides in another order, {' '.join(was)}"


def write_multirun(config: DictConfig, folder: Path) -> None:
    """Write multirun.yaml unless the sweeper did: only Hydra's basic sweeper does."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / FILE).exists():
        OmegaConf.save(config, folder / FILE)
