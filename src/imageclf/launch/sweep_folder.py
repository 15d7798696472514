"""The folder of a sweep. Its multirun.yaml says what was swept, so that only the same sweep goes on there."""

from contextlib import suppress
from pathlib import Path

from omegaconf import DictConfig, OmegaConf, read_write

from imageclf import InputError
from imageclf.training.location import check_sweep_location

FILE = "multirun.yaml"
# What a search writes there: its best run, and all its trials.
RESULTS = "optimization_results.yaml"
# These say how to resume a sweep, not what is swept.
_HOW = ("resume_sweep=", "ckpt_path=auto")


def choose_folder(config: DictConfig) -> None:
    """Point a resumed sweep to its folder, before Hydra writes multirun.yaml again.

    Args:
        config: of the sweep, with its hydra node; `hydra.sweep.dir` is set.

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
    if resumed is None and config.ckpt_path != "auto":
        raise InputError(
            f"{folder} holds a sweep already: continue it with resume_sweep={folder}, "
            "or choose another hydra.sweep.dir"
        )
    saved = OmegaConf.load(folder / FILE)
    was, now = overrides_of(saved.hydra.overrides.task), overrides_of(config.hydra.overrides.task)
    if was != now:
        raise InputError(f"{folder} was started as another sweep: {difference(was, now)}")


def overrides_of(typed: object) -> list[str]:
    """Return the overrides that say what is swept, in the order that numbers the jobs."""
    # The program itself adds a + where it is missing.
    overrides = [str(each).lstrip("+") for each in typed]  # type: ignore[attr-defined]
    return [each for each in overrides if not each.startswith(_HOW)]


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

    >>> difference(["seed=1,2", "data=csv"], ["seed=1,2,3"])
    'leave out seed=1,2,3 and add seed=1,2 data=csv'
    """
    extra = [each for each in now if each not in was]
    missing = [each for each in was if each not in now]
    parts = [f"leave out {' '.join(extra)}"] if extra else []
    parts += [f"add {' '.join(missing)}"] if missing else []
    return " and ".join(parts) or f"give its overrides in their order, {' '.join(was)}"


def write_multirun(config: DictConfig, folder: Path) -> None:
    """Write multirun.yaml unless the sweeper did: only Hydra's basic sweeper does."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / FILE).exists():
        OmegaConf.save(config, folder / FILE)
