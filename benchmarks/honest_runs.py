"""Real runs for honest_best.py: small ones, with the hidden pictures as their test folder."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SHARE = 0.5
"""Of the pictures of each class that are hidden."""
VALID = 0.4
"""Of the others that are validated on."""
HEAD = "{n_cycles:2,cycle_len:4,lr:3e-3,unfreeze_to:head,augment:false,precompute:true}"
TUNE = "{n_cycles:3,cycle_len:1,lr:1e-3,lr_ratio:3.0,unfreeze_to:0,warmup:1.0,bn:eval}"
OVERRIDES = (
    *("trainer=cpu", "data.size=32", "data.resize=squish", "data.batch_size=20", "data.num_workers=0"),
    *("data=folder", "data.train=train", "data.valid=null", f"data.valid_pct={VALID}", "data.test=hidden"),
    *(f"~schedule.phases.{name}" for name in ("head", "augment", "finetune", "bigger")),
    *(f"+schedule.phases.head={HEAD}", f"+schedule.phases.tune={TUNE}", "callbacks.ema.decay=0.9"),
    *("callbacks.report.model=best", "~callbacks.fit_verdict", "~callbacks.tta", "model.head.dropout=0.2"),
)


class Figures(NamedTuple):
    """Accuracies of the model that a run has chosen, 0 to 1: on hidden pictures, and as the run says."""

    hidden: float
    best: float
    crossfit: float


def figures_of_run(pictures: Path, runs: Path, seed: int, overrides: list[str]) -> Figures:
    """Return what a run says of its best candidate; the run is trained if it is not there.

    Args:
        pictures: folder of classes.
        runs: folder of the runs.
        seed: of what is hidden, of the split, and of the run.
        overrides: of imageclf-train.
    """
    run_dir = runs / f"run-{seed}"
    if not (run_dir / "summary.json").exists():
        folder = _hide(pictures, runs / f"pictures-{seed}", seed)
        command = [
            *(sys.executable, "-m", "imageclf.train", *OVERRIDES, f"data.root={folder}", f"seed={seed}"),
            *(f"data.split_seed={seed}", f"hydra.run.dir={run_dir}", *overrides),
        ]
        subprocess.run(command, check=True, capture_output=True)
    summary: dict[str, Any] = json.loads((run_dir / "summary.json").read_text(encoding="utf-8"))
    return Figures(*(summary[key] for key in ("test/acc", "val/acc_best", "val/acc_best_crossfit")))


def _hide(pictures: Path, folder: Path, seed: int) -> Path:
    """Copy a part of each class to `hidden` in a folder, and the rest to `train`."""
    shutil.rmtree(folder, ignore_errors=True)
    generator = np.random.default_rng(seed)
    for label in sorted(path for path in pictures.iterdir() if path.is_dir()):
        files = sorted(label.iterdir())
        for place, number in enumerate(generator.permutation(len(files))):
            part = folder / ("hidden" if place < SHARE * len(files) else "train") / label.name
            part.mkdir(parents=True, exist_ok=True)
            shutil.copy(files[number], part)
    return folder
