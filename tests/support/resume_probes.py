"""Callbacks that write down every step of a run, and that end a run at an exact point."""

import json
import multiprocessing
import os
import pickle
import random
import resource
import signal
import sys
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import lightning as pl
import numpy as np
import torch
from probes import behind_checkpoint, digest

STOP = "stop.json"


class StoppedError(RuntimeError):
    """The run was ended on purpose."""


class Steps(pl.Callback):
    """Append a line per training step to `steps-RANK.jsonl`: what was drawn and seen, and what came of it."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._seen: list[str] = []
        self._hooks: list[Any] = []
        self._drawn = ""

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        # Users' callbacks run after those that prepare a step: by now it is seeded.
        self._drawn, self._seen = generators(), []
        parts = (pl_module.model.backbone, pl_module.model.head)
        self._hooks = [part.register_forward_pre_hook(self._note) for part in parts]

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        for hook in self._hooks:
            hook.remove()
        row = {
            "epoch": trainer.current_epoch,
            "batch": batch_idx,
            "rows": batch.rows.tolist(),
            "labels": batch.labels.tolist(),
            # Of the pictures as the body sees them, and of the features as the head sees them.
            "seen": self._seen,
            "lrs": [group["lr"] for group in trainer.optimizers[0].param_groups],
            "loss": float(outputs["loss"]).hex(),
            "generators": [self._drawn, generators()],
            "weights": digest(pl_module.model.state_dict()),
        }
        with (self._run_dir / f"steps-{trainer.global_rank}.jsonl").open("a") as file:
            file.write(json.dumps(row) + "\n")

    def _note(self, module: Any, inputs: tuple[torch.Tensor]) -> None:
        self._seen.append(digest({"": inputs[0]}))


def generators() -> str:
    """Return a hash of the state of every global generator."""
    states = pickle.dumps((random.getstate(), np.random.get_state()))
    return sha256(states + torch.get_rng_state().numpy().tobytes()).hexdigest()


class StopAsAsked(pl.Callback):
    """End the run at the point that `stop.json` names, by an exception or by SIGKILL; without it, never.

    `where` is a hook, or a moment of the save of a position: `before`, `half` (inside the write),
    `written` (before the first rename), `renaming` (between the two).
    """

    def __init__(self, run_dir: Path) -> None:
        path = run_dir / STOP
        asked = json.loads(path.read_text()) if path.exists() else {}
        self._where = asked.get("where")
        self._at = (asked.get("epoch"), asked.get("batch"))
        self._kill = asked.get("kill", False)
        self._dir = run_dir / "checkpoints"
        self._limits: tuple[int, int] | None = None

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        behind_checkpoint(trainer, self)

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self._reached("epoch_start", trainer.current_epoch, 0)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        self._reached("batch_start", trainer.current_epoch, batch_idx)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._reached("batch_end", trainer.current_epoch, batch_idx)

    def on_validation_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        self._reached("validation_batch_end", trainer.current_epoch, batch_idx)

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        position = tuple(checkpoint["position"])
        self._reached("before", *position)
        if position != self._at or not trainer.is_global_zero:
            return
        if self._where == "half":
            self._fail_after(100_000)
        elif self._where == "written":
            at_rename(self._dir / "previous.ckpt", self._stop)
        elif self._where == "renaming":
            at_rename(self._dir / "last.ckpt", self._stop)

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        if self._limits is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)

    def _fail_after(self, size: int) -> None:
        """Let the kernel refuse to write files beyond a size, as a full disk does, or kill who tries."""
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, self._limits[1]))
        if self._kill:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)

    def _reached(self, where: str, epoch: int, batch: int) -> None:
        if (where, (epoch, batch)) == (self._where, self._at):
            if torch.distributed.is_initialized():
                # A rank that is killed ends the others: all are to have come here by then.
                torch.distributed.barrier()
            self._stop()

    def _stop(self) -> None:
        if self._kill:
            # As a cluster ends a job: with its data workers, before torch can notice that they died.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
            for child in multiprocessing.active_children():
                child.kill()
            os.kill(os.getpid(), signal.SIGKILL)
        raise StoppedError("on purpose")


_renames: dict[Path, Callable[[], None]] = {}


def at_rename(target: Path, action: Callable[[], None]) -> None:
    """Call `action` when the interpreter is about to rename a file to `target`, once."""
    _watch_renames()
    _renames[target] = action


@cache
def _watch_renames() -> None:
    # The interpreter's own hook, which cannot be taken out again; without an entry it does nothing.
    sys.addaudithook(_on_event)


def _on_event(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "os.rename" and _renames:
        action = _renames.pop(Path(os.fsdecode(arguments[1])), None)
        if action is not None:
            action()
