"""Where messages go: the terminal and train.log, from the first rank only."""

import logging
import os
import warnings
from pathlib import Path

from imageclf.system.printable import log_printable
from imageclf.training.parts.table import is_first_task

# Warnings of our dependencies that a user can do nothing about.
UPSTREAM_WARNINGS = (
    # Lightning's pytree helper, https://github.com/Lightning-AI/pytorch-lightning/pull/21219.
    ".*isinstance.treespec, LeafSpec.. is deprecated.*",
    # Lightning's all_gather.
    ".*torch.distributed.nn.functional.all_gather is deprecated.*",
    # Lightning, wherever SLURM is installed: a training on a workstation or login node needs no srun.
    ".*The `srun` command is available on your system but is not used.*",
)


def log_to_file(run_dir: Path) -> None:
    """Send messages to `train.log` and the terminal, unless Hydra has already set that up."""
    log_printable()
    for message in UPSTREAM_WARNINGS:
        warnings.filterwarnings("ignore", message=message)
    # Lightning's tips and device lists are no news.
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    root = logging.getLogger()
    if root.handlers:
        return
    root.setLevel(logging.INFO if is_first_task(os.environ) else logging.ERROR)
    form = logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S")
    for handler in (logging.StreamHandler(), logging.FileHandler(run_dir / "train.log")):
        handler.setFormatter(form)
        root.addHandler(handler)
