"""The run directory: made once, refused when it holds another run, and resumed on demand."""

import logging
import os
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from imageclf import InputError
from imageclf.configs import check_saved, load_config, read_config, save_config, to_plain
from imageclf.configs.plain import Plain, to_saved
from imageclf.configs.saved.hydra_record import keep_record, read_overrides
from imageclf.system.world import restarted
from imageclf.training.budget.fit import fit_to_budget
from imageclf.training.check_keys import check
from imageclf.training.differences import FREE, contradictions, is_free, key_of
from imageclf.training.location import clear_unbegun, has_begun
from imageclf.training.parts.accelerator import total_ranks
from imageclf.training.resumable import check_resumable
from imageclf.training.run_config import RunConfig

log = logging.getLogger(__name__)

# Values that a refusal lists.
MOST = 5


def prepare(cfg: DictConfig, run_dir: Path, overrides: list[str], plain: Plain | None = None) -> bool:
    """Write config.yaml into a new run directory, or accept one to resume.

    Hydra has made the directory. `plain` is what `to_plain` makes of the config, where the caller knows
    it already.

    Returns:
        Whether there is anything left to do: False for a finished run.

    Raises:
        InputError: as `check_directory`.
    """
    saved = run_dir / "config.yaml"
    # A job has checked it already, but not since it holds the directory's lock.
    if check_directory(cfg, run_dir, overrides):
        # Before the config is there: a run that goes on never measures again.
        fit_to_budget(cfg, run_dir)
        if saved.exists():
            log.info("%s has no epoch yet: it starts anew, with the config of this command", run_dir)
            clear_unbegun(run_dir)
        # A budget has just changed it.
        save_config(cfg, saved, plain if cfg.get("budget") is None else None)
        keep_record(run_dir)
        return True
    take_over(saved, cfg, overrides)
    return not (run_dir / "summary.json").exists()


def check_directory(cfg: DictConfig, run_dir: Path, overrides: list[str]) -> bool:
    """Refuse a directory that cannot be started or resumed in; return whether the run starts anew in it.

    Nothing is written.

    Raises:
        InputError: it holds a run and `ckpt_path` is not auto, an override contradicts the saved config, or
            the checkpoint to start from is missing.
    """
    saved = run_dir / "config.yaml"
    if starts_anew(cfg, run_dir, overrides):
        _check_start(cfg.ckpt_path, run_dir, overrides)
        return True
    # A requeued job has the command line of its first start.
    if cfg.ckpt_path != "auto" and not restarted(os.environ):
        raise InputError(
            f"{run_dir} holds a run already: continue it with ckpt_path=auto, or choose another hydra.run.dir"
        )
    check_trusted(cfg, saved)
    was, now = load_config(saved), to_plain(cfg)
    changed = contradictions(was, now, _compared(overrides, was, run_dir))
    if changed:
        more = f" and {len(changed) - MOST} more" if len(changed) > MOST else ""
        raise InputError(
            f"{run_dir} was started with {', '.join(map(str, changed[:MOST]))}{more}: leave out what changes "
            f"that to go on, or start a new run; only {', '.join(FREE)} may change"
        )
    # Only a batch of all ranks together stays the same with more of them, or fewer.
    if was["data"].get("global_batch_size") is None:
        _check_ranks(was["trainer"], now["trainer"], run_dir, overrides)
    return False


def starts_anew(cfg: DictConfig, run_dir: Path, overrides: list[str]) -> bool:
    """Return whether a run starts from the composed config: its directory is new, or it has done no epoch.

    With `ckpt_path=auto`, or requeued, a run that has a config goes on with it even before its first epoch,
    unless the command gives other values.
    """
    saved = run_dir / "config.yaml"
    if not saved.exists():
        return True
    if has_begun(run_dir):
        return False
    if cfg.ckpt_path != "auto" and not restarted(os.environ):
        return True
    was = read_config(saved)
    return bool(contradictions(was, to_saved(cfg), _compared(overrides, was, run_dir)))


def _compared(overrides: list[str], was: dict[str, Any], run_dir: Path) -> list[str]:
    """Return the overrides to compare with a saved config.

    A budget has changed lengths in it: what was typed just so when the run started contradicts nothing.
    """
    if was.get("budget") is None:
        return overrides
    # As the command that started the run gave them.
    typed = read_overrides(run_dir) or []
    return [each for each in overrides if not (key_of(each).startswith("schedule") and each in typed)]


def check_trusted(cfg: DictConfig, saved: Path) -> None:
    """Refuse to resume a config that names code which neither the command line nor `trust` names.

    The composed config is the user's own; anyone may have written the saved one.
    """
    check_saved(read_config(saved), OmegaConf.to_container(cfg, resolve=False), cfg.trust, saved)
    try:
        check(load_config(saved), RunConfig)
    except InputError as error:
        raise InputError(f"{saved}: {error}") from error


def take_over(saved: Path, cfg: DictConfig, overrides: list[str]) -> None:
    """Write those overrides that may differ into a saved config; everything else stays."""
    config = OmegaConf.load(saved)
    free = [key for key in map(key_of, overrides) if is_free(key) and key != "ckpt_path"]
    keys = [key for key in free if OmegaConf.select(config, key) != OmegaConf.select(cfg, key)]
    for key in keys:
        OmegaConf.update(config, key, OmegaConf.select(cfg, key), merge=False, force_add=True)
    if keys and isinstance(config, DictConfig):
        save_config(config, saved)


def _check_ranks(was: dict[str, Any], now: dict[str, Any], run_dir: Path, overrides: list[str]) -> None:
    """Refuse another number of ranks: `data.batch_size` is per rank, so every batch would change."""
    typed = [key for key in ("devices", "num_nodes") if f"trainer.{key}" in map(key_of, overrides)]
    ranks, asked = total_ranks(was), total_ranks(was | {key: now[key] for key in typed if key in now})
    if asked != ranks:
        given = [f"trainer.{key}={now.get(key)}" for key in typed]
        raise InputError(
            f"{run_dir} was started on {ranks} ranks, and {' '.join(given)} makes {asked}: its batches would "
            f"change; go on with {ranks}, or start a new run, with data.global_batch_size if its ranks are "
            "to change"
        )


def _check_start(ckpt_path: str | None, run_dir: Path, overrides: list[str]) -> None:
    """Refuse a new run that is to start from what is no checkpoint."""
    if ckpt_path == "auto" and not _chosen(overrides):
        raise InputError(f"ckpt_path=auto needs hydra.run.dir=PATH: {_newest_run(run_dir)}")
    if ckpt_path not in (None, "auto"):
        check_resumable(Path(ckpt_path).expanduser())


def _chosen(overrides: list[str]) -> bool:
    typed = HydraConfig.get().overrides.hydra if HydraConfig.initialized() else overrides
    return any(override.startswith(("hydra.run.dir=", "hydra.sweep.dir=")) for override in typed)


def _newest_run(run_dir: Path) -> str:
    # A run that was refused has a config, but never began an epoch.
    runs = sorted(run_dir.parent.glob("*/plan.csv"), key=lambda path: path.stat().st_mtime)
    return f"the newest run here is {runs[-1].parent}" if runs else "there is no run here yet"
