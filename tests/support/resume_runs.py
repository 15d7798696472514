"""Stop a real run at a point, resume it, and list where it differs from an undisturbed run."""

import json
import shutil
import signal
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from fork_server import FORK_SERVER, as_from_a_shell
from resume_cases import Case, Position, Setting
from resume_probes import STOP
from small_runs import SMALL, chosen, composed, phases

from imageclf.launch.ranks import run_ranks
from imageclf.system.errors import RankError
from imageclf.training.directory import prepare
from imageclf.training.door import run
from imageclf.training.parts.table import table_of_run
from imageclf.training.run_config import read_run_config

State = dict[str, Any]

# Everything but pictures, logs and config.
COMPARED = (
    "metrics.csv",
    "plan.csv",
    "split.csv",
    "summary.json",
    "snapshots/*",
    "predictions/*",
    "lr_find/*.[cj]s*",
)

COMMON = [
    *SMALL,
    "data.valid_pct=0.28",
    "callbacks.checkpoint.every_n_batches=1",
    "callbacks.tta.num_augmented=1",
    "callbacks.lr_finder.num_steps=4",
    "callbacks.lr_finder.lr_max=0.05",
    "+callbacks.steps={_target_: resume_probes.Steps}",
    "+callbacks.stop={_target_: resume_probes.StopAsAsked}",
]
FEATURES = ["model.mixing.mixup=0.4", "model.mixing.erase=0.3", "callbacks.tta.when=epoch"]


def overrides(setting: Setting) -> list[str]:
    """Return what is typed for a setting: global batches of 4 pictures, and of 6 where they are larger."""
    # With all features, a size that is not square.
    size = "32x64" if setting.features else 48
    large = {"size": size, "batch_size": 6 // setting.ranks} if setting.sizes == "progressive" else {}
    momentum = {"shape": "onecycle", "moms": [0.95, 0.85, 0.95]} if setting.features else {}
    lr = "auto" if setting.features else 1e-3
    named = phases(
        start={"lr": 1e-2, "unfreeze_to": "head", "augment": False, "precompute": setting.precompute},
        tune={"n_cycles": 2, "lr": lr, "lr_ratio": 3.0, "unfreeze_to": 0, **momentum},
        large={"lr": 1e-3, "unfreeze_to": "body1", "bn": "eval", **large},
    )
    ranks = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu"] if setting.ranks == 2 else []
    return [
        *COMMON,
        *named,
        *ranks,
        *(FEATURES if setting.features else []),
        f"data.batch_size={4 // setting.ranks}",
        f"trainer.accumulate_grad_batches={setting.accumulation}",
    ]


class Runs:
    """Real runs in the directories of a test session; an undisturbed one is made once per setting.

    Args:
        root: of the directories.
        pictures: a folder per class.
    """

    def __init__(self, root: Path, pictures: Path) -> None:
        self._root = root
        self._pictures = pictures
        self._undisturbed: dict[tuple[Setting, tuple[str, ...]], Path] = {}
        self._number = 0

    def undisturbed(self, setting: Setting, *more: str) -> Path:
        """Return the directory of a run that nothing happened to, read without workers."""
        if (setting, more) not in self._undisturbed:
            run_dir = self.prepared(setting, 0, *more)
            shutil.copytree(run_dir, run_dir.with_name(f"{run_dir.name}-template"))
            go(run_dir, setting.ranks)
            self._undisturbed[setting, more] = run_dir
        return self._undisturbed[setting, more]

    def prepared(self, setting: Setting, workers: int, *more: str) -> Path:
        """Return a run directory with everything that the door needs."""
        self._number += 1
        run_dir = self._root / str(self._number)
        if (setting, more) in self._undisturbed:
            made = self._undisturbed[setting, more]
            shutil.copytree(made.with_name(f"{made.name}-template"), run_dir)
        else:
            run_dir.mkdir()
            typed = chosen([*overrides(setting), *more, f"data.root={self._pictures}"])
            prepare(composed(typed, run_dir), run_dir, typed)
            table_of_run(run_dir, read_run_config(run_dir))
        config = run_dir / "config.yaml"
        config.write_text(config.read_text().replace("num_workers: 0", f"num_workers: {workers}"))
        return run_dir

    def stopped(self, case: Case, *more: str) -> Path:
        """Return the directory of a run that was stopped, as it was left."""
        self.undisturbed(case.setting, *more)
        run_dir = self.prepared(case.setting, case.workers, *more)
        where, (epoch, batch), _ = case.stop
        asked = {"where": where, "epoch": epoch, "batch": batch, "kill": case.kill}
        (run_dir / STOP).write_text(json.dumps(asked))
        if case.setting.ranks > 1:
            with pytest.raises(RankError, match=r"SIG|rank \d failed"):
                run_ranks(run_dir, case.setting.ranks)
        elif case.kill:
            assert exit_code(run_dir) in (-signal.SIGKILL, -signal.SIGXFSZ)
        else:
            with pytest.raises((RuntimeError, OSError), match=r"on purpose|File too large"):
                run(run_dir)
        (run_dir / STOP).unlink()
        return run_dir


def go(run_dir: Path, ranks: int) -> None:
    """Go through the one door: one rank in this process, several each in its own."""
    if ranks == 1:
        run(run_dir)
    else:
        run_ranks(run_dir, ranks)


def exit_code(run_dir: Path) -> int | None:
    """Run a directory on one rank in its own process, and return the exit code."""
    process = FORK_SERVER.Process(target=_alone, args=(run_dir,))
    process.start()
    process.join()
    return process.exitcode


def _alone(run_dir: Path) -> None:
    as_from_a_shell()
    run(run_dir)


def steps(run_dir: Path, rank: int) -> list[dict[str, Any]]:
    """Return what a rank has written down of each step, in the order of writing."""
    path = run_dir / f"steps-{rank}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def position(row: dict[str, Any]) -> Position:
    """Return the position of a step."""
    return row["epoch"], row["batch"]


def step_differences(run_dir: Path, reference: Path, before: int, rank: int) -> list[str]:
    """Return which steps of a run are not those of another.

    Args:
        run_dir: of the run that went on.
        reference: of the one that it should equal.
        before: how many steps it had written down when it was stopped.
        rank: whose steps.
    """
    expected, rows = steps(reference, rank), steps(run_dir, rank)
    start = [position(row) for row in expected].index(position(rows[before]))
    wrong = []
    # What was trained before the stop, replayed steps among it, and what was trained after it.
    for name, part, whole in (
        ("stopped", rows[:before], expected[:before]),
        ("resumed", rows[before:], expected[start:]),
    ):
        if [position(row) for row in part] != [position(row) for row in whole]:
            wrong.append(f"{name}: positions {[position(row) for row in part]}")
        for row, other in zip(part, whole, strict=False):
            keys = [key for key in other if row[key] != other[key]]
            wrong += [f"{name}: {key} of {position(other)} on rank {rank}" for key in keys]
    if start > before:
        wrong.append(f"steps {before} to {start} were left out")
    return wrong


def differences(run_dir: Path, reference: Path) -> list[str]:
    """Return the names of all that differs between what two finished runs have left behind."""
    states = [state(run_dir), state_of_reference(reference)]
    names = sorted(states[0].keys() | states[1].keys())
    return [name for name in names if states[0].get(name) != states[1].get(name)]


@cache
def state_of_reference(run_dir: Path) -> State:
    """Return the state of a run that nothing happens to any more: many are compared with it."""
    return state(run_dir)


def state(run_dir: Path) -> State:
    """Return all that a finished run has left behind, by name: the last checkpoint and every file."""
    found = flat("checkpoint", torch.load(run_dir / "checkpoints" / "last.ckpt", weights_only=True))
    # Seconds differ. Of `loops`, Lightning's own counters, nothing is read.
    found = {
        name: value
        for name, value in found.items()
        if not name.startswith("checkpoint/loops") and not name.endswith("/seconds")
    }
    files = [path for pattern in COMPARED for path in run_dir.glob(pattern)]
    assert len(files) > 8
    return found | {str(path.relative_to(run_dir)): content_of(path) for path in files}


def content_of(path: Path) -> Any:
    """Return what a file holds, but for the seconds that something took, and the data workers."""
    if path.suffix == ".ckpt":
        return flat("", torch.load(path, weights_only=True))
    if path.name == "metrics.csv":
        return pd.read_csv(path, dtype=str).drop(columns="seconds").to_csv()
    if path.name == "summary.json":
        known = json.loads(path.read_text())
        return {name: known[name] for name in known if name not in ("seconds", "num_workers")}
    return path.read_bytes()


def flat(name: str, value: Any) -> State:
    """Return the leaves of nested mappings and lists by their path; of tensors, a hash of all bits."""
    if isinstance(value, dict):
        return {
            path: leaf for key, each in value.items() for path, leaf in flat(f"{name}/{key}", each).items()
        }
    if isinstance(value, list | tuple):
        return flat(name, dict(enumerate(value)))
    if isinstance(value, torch.Tensor):
        content = sha256(value.contiguous().numpy().tobytes()).hexdigest()
        return {name: (str(value.dtype), tuple(value.shape), content)}
    return {name: repr(value)}
