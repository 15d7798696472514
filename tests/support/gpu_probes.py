"""Callbacks that write down what a run does with its device, added by their _target_."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import lightning as pl
import torch


class Devices(pl.Callback):
    """Write a line for each batch: where the model is, and where its loss."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / "devices"

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        with self._path.open("a") as file:
            print(pl_module.device.type, outputs["loss"].device.type, file=file)


class CudaContexts(pl.Callback):
    """Write down at the very end on which cards the process holds a context: each takes memory there."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / "contexts"

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        has = torch._C._cuda_hasPrimaryContext
        self._path.write_text(json.dumps([has(index) for index in range(torch.cuda.device_count())]))


class KillOnce(pl.Callback):
    """Kill the process at one batch's start, the first time that it comes there."""

    def __init__(self, run_dir: Path, epoch: int, batch: int) -> None:
        self._killed = run_dir / "killed"
        self._at = (epoch, batch)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if (trainer.current_epoch, batch_idx) == self._at and not self._killed.exists():
            self._killed.touch()
            os.kill(os.getpid(), signal.SIGKILL)
