"""Real runs in this process that take about a second each."""

from pathlib import Path
from typing import Any

from composing import composed_in
from omegaconf import DictConfig

from imageclf.launch.start import train
from imageclf.training.directory import prepare

RECORDER = "+callbacks.recorder={_target_: probes.Recorder}"

# Left out where another data set is chosen.
FOLDER = ["data=folder", "data.train=.", "data.valid=null"]
SMALL = [
    "trainer=cpu",
    *FOLDER,
    "data.size=32",
    "data.batch_size=5",
    "data.num_workers=0",
    "data.resize=squish",
    "model.backbone=test_efficientnet",
    "model.weights=none",
    "model.head.dropout=0.2",
    "callbacks.lr_finder.num_steps=8",
    "~callbacks.report",
    # Bitwise tests hold on the CPU only.
    "trainer=cpu",
]


def flow(values: Any) -> str:
    """Return a value in Hydra's override grammar."""
    if isinstance(values, dict):
        return "{" + ",".join(f"{key}:{flow(value)}" for key, value in values.items()) + "}"
    return str(values).lower() if isinstance(values, bool) else str(values)


def phases(**named: dict[str, Any]) -> list[str]:
    """Return overrides that replace the lesson's phases by these."""
    removed = [f"~schedule.phases.{name}" for name in ("head", "augment", "finetune", "bigger")]
    return [*removed, *(f"+schedule.phases.{name}={flow(values)}" for name, values in named.items())]


THREE_PHASES = phases(
    start={"cycle_len": 2, "lr": 1e-2, "unfreeze_to": "head", "augment": False, "precompute": True},
    tune={"n_cycles": 2, "cycle_mult": 2, "lr": 1e-3, "lr_ratio": 3.0, "unfreeze_to": "body1", "bn": "eval"},
    large={"lr": 1e-3, "unfreeze_to": 0, "size": 48, "batch_size": 7},
)

LESSON = phases(
    head={"lr": 1e-2, "unfreeze_to": "head", "augment": False, "precompute": True},
    finetune={"n_cycles": 2, "lr": 1e-3, "unfreeze_to": 0},
)


def chosen(overrides: list[str]) -> list[str]:
    """Return overrides without the folder of classes, where another data set is among them."""
    is_other = any(each.startswith("data=") and each not in FOLDER for each in overrides)
    return [each for each in overrides if not (is_other and each in FOLDER)]


def composed(overrides: list[str], run_dir: Path) -> DictConfig:
    """Return the training config as Hydra composes it for a job in `run_dir`."""
    return composed_in(run_dir, tuple(overrides))


def train_small(run_dir: Path, pictures: Path, *overrides: str) -> Path:
    """Train as the main does, and return the run directory."""
    run_dir.mkdir(exist_ok=True)
    typed = chosen([*SMALL, f"data.root={pictures}", *overrides])
    if prepare(composed(typed, run_dir), run_dir, typed):
        train(run_dir)
    return run_dir
