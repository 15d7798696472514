"""Callbacks that write down what a run does, added to it by their _target_ as a user's own would be."""

import contextlib
import hashlib
import json
import multiprocessing
import os
import resource
import signal
import threading
import time
import zlib
from pathlib import Path
from typing import Any

import lightning as pl
import torch

from imageclf.callbacks import Checkpoint, LrFinder, terminate_on_nan
from imageclf.callbacks.always import votes
from imageclf.data.pictures.cache import entries
from imageclf.data.pictures.cache_root import cache_root
from imageclf.schedule import RunState, Schedule
from imageclf.system.signals import Notice


def digest(tensors: dict[str, torch.Tensor]) -> str:
    """Return a hash of all bytes of a state dict."""
    hashed = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        hashed.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return hashed.hexdigest()


def behind_checkpoint(trainer: Any, callback: pl.Callback) -> None:
    """Move a callback right behind the checkpoint: a batch is saved by then, and the saved position known.

    Users' own callbacks run before it. Called from `setup`: Lightning goes on through the list as it was.
    """
    others = [each for each in trainer.callbacks if each is not callback]
    where = next((i for i, each in enumerate(others) if isinstance(each, Checkpoint)), len(others) - 1)
    trainer.callbacks = [*others[: where + 1], callback, *others[where + 1 :]]


class Recorder(pl.Callback):
    """Append a line per batch and per epoch to `probe-RANK.jsonl`."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        groups = trainer.optimizers[0].param_groups
        images = [] if batch.images is None else batch.images.cpu()
        self._write(
            trainer,
            kind="batch",
            batch=batch_idx,
            rows=batch.rows.tolist(),
            from_features=batch.features is not None,
            size=None if batch.images is None else batch.images.shape[-1],
            views=[zlib.crc32(each.numpy().tobytes()) for each in images],
            lrs={group["name"]: group["lr"] for group in groups},
            momenta=sorted({group.get("betas", [None])[0] for group in groups}),
            loss=float(outputs["loss"]),
        )

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        trainable = [name for name, p in pl_module.model.named_parameters() if p.requires_grad]
        optimizer_steps = [int(state["step"]) for state in trainer.optimizers[0].state.values()]
        self._write(
            trainer,
            kind="epoch",
            parameters=digest(dict(pl_module.model.named_parameters())),
            trainable=len(trainable),
            wrapped=type(trainer.strategy.model).__name__,
            optimizer_steps=max(optimizer_steps, default=0),
            norms_in_training=sum(
                module.training
                for name, module in pl_module.model.named_modules()
                if isinstance(module, torch.nn.BatchNorm2d)
            ),
        )

    def _write(self, trainer: Any, **row: Any) -> None:
        path = self._run_dir / f"probe-{trainer.global_rank}.jsonl"
        with path.open("a") as file:
            file.write(
                json.dumps({"epoch": trainer.current_epoch, "step": trainer.global_step, **row}) + "\n"
            )


class IdleSearch(pl.Callback):
    """Search a learning rate twice at each phase's start, and throw away what was found."""

    def __init__(self, schedule: Schedule, run_dir: Path, seed: int) -> None:
        self._schedule = schedule
        self._finder = LrFinder(
            schedule,
            RunState(),
            run_dir,
            seed,
            lr_min=1e-5,
            lr_max=1.0,
            num_steps=12,
            beta=0.5,
            method="valley",
            fallback=1e-3,
        )
        self._path = run_dir / "searches.json"
        self._searches: list[Any] = []

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if self._schedule.at(trainer.current_epoch).is_phase_start:
            before = self._fingerprint(trainer, pl_module)
            curves = [self._finder.search(trainer, pl_module) for _ in range(2)]
            after = self._fingerprint(trainer, pl_module)
            self._searches.append({"before": before, "after": after, "curves": [list(c) for c in curves]})
            self._path.write_text(json.dumps(self._searches))

    def _fingerprint(self, trainer: Any, module: Any) -> dict[str, Any]:
        return {
            "weights and buffers": digest(module.state_dict()),
            "modes": [part.training for part in module.modules()],
            "optimizer": repr(trainer.optimizers[0].state_dict()),
            "gradients": [p.grad is None for p in module.parameters()],
            "generator": digest({"cpu": torch.get_rng_state()}),
        }


class Doubt:
    """How improbable the true classes are held to be: a metric of a user's own."""

    def __call__(self, probabilities: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return (1 - probabilities[torch.arange(len(labels)), labels]).mean()


def lines(run_dir: Path, kind: str, rank: int = 0) -> list[dict[str, Any]]:
    """Return what a recorder wrote."""
    rows = [json.loads(line) for line in (run_dir / f"probe-{rank}.jsonl").read_text().splitlines()]
    return [row for row in rows if row["kind"] == kind]


class Tally(pl.Callback):
    """Count batches and epochs, and average the losses, in a state of its own; written down at the end."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / "tally.json"
        self._state: dict[str, float] = {"batches": 0, "epochs": 0, "average": 0.0}

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._state["batches"] += 1
        self._state["average"] += 0.1 * (float(outputs["loss"]) - self._state["average"])

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self._state["epochs"] += 1

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self._path.write_text(json.dumps(self._state))

    def state_dict(self) -> dict[str, Any]:
        return dict(self._state)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._state = dict(state_dict)


class StopAt(pl.Callback):
    """Raise after a batch, once; its checkpoint is written by then."""

    def __init__(self, run_dir: Path, epoch: int, batch: int) -> None:
        self._stopped = run_dir / f"stopped-{epoch}-{batch}"
        self._at = (epoch, batch)

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        behind_checkpoint(trainer, self)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (trainer.current_epoch, batch_idx) == self._at and not self._stopped.exists():
            self._stopped.touch()
            raise RuntimeError("stopped on purpose")


class FailAtLength(pl.Callback):
    """Fail with a message that no pipe holds, on every rank."""

    def __init__(self, size: int) -> None:
        self._size = size

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        raise RuntimeError("x" * self._size)


class KillRank(pl.Callback):
    """Kill one rank in its second epoch, once, as the kernel does when memory runs out.

    With its launcher as well it is as if the node was lost.
    """

    def __init__(self, run_dir: Path, rank: int, with_launcher: bool = False) -> None:
        self._killed = run_dir / "killed"
        self._rank = rank
        self._with_launcher = with_launcher

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if (trainer.current_epoch, trainer.global_rank) == (1, self._rank) and not self._killed.exists():
            self._killed.touch()
            if self._with_launcher:
                os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)


class Children(pl.Callback):
    """Write down the process ids of the data workers after each batch."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        pids = [child.pid for child in multiprocessing.active_children()]
        (self._run_dir / f"children-{trainer.global_rank}.json").write_text(json.dumps(pids))


class WaitForEver(pl.Callback):
    """Write down the process id and train no further."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        (self._run_dir / f"pid-{trainer.global_rank}").write_text(str(os.getpid()))
        threading.Event().wait()


class KeepWeights(pl.Callback):
    """Keep the weights after each optimizer step in `steps/NUMBER.pt`."""

    def __init__(self, run_dir: Path) -> None:
        self._dir = run_dir / "steps"
        self._seen = 0

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step > self._seen:
            self._seen = trainer.global_step
            self._dir.mkdir(exist_ok=True)
            torch.save(pl_module.model.state_dict(), self._dir / f"{self._seen:04}.pt")


class Fault(pl.Callback):
    """Fail in the second epoch, in one way of several, unless NO_FAULT is set."""

    def __init__(self, run_dir: Path, kind: str) -> None:
        self._run_dir = run_dir
        self._kind = "none" if "NO_FAULT" in os.environ else kind

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        (self._run_dir / f"pid-{trainer.global_rank}").write_text(str(os.getpid()))
        if trainer.current_epoch < 1:
            return
        if self._kind == "raise":
            raise RuntimeError("raised on purpose")
        if self._kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self._kind == "memory":
            resource.setrlimit(resource.RLIMIT_AS, (2**30, resource.getrlimit(resource.RLIMIT_AS)[1]))
            bytearray(2**31)
        if self._kind == "diverge":
            with torch.no_grad():
                next(pl_module.parameters()).fill_(float("nan"))


class MoveRun(pl.Callback):
    """Move the run directory away when an epoch begins."""

    def __init__(self, run_dir: Path, epoch: int) -> None:
        self._run_dir = run_dir
        self._epoch = epoch

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        if trainer.current_epoch == self._epoch:
            self._run_dir.rename(self._run_dir.with_name("elsewhere"))


class NotFiniteOnRank(pl.Callback):
    """Let the weights of one rank alone become NaN in the second epoch."""

    def __init__(self, rank: int) -> None:
        self._rank = rank

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.current_epoch == 1 and trainer.global_rank == self._rank:
            with torch.no_grad():
                pl_module.model.head[-1].weight.fill_(float("nan"))


class Costs(pl.Callback):
    """Write down what the process has cost by the end of its run, its imports included, and the caches."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir

    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        # What is built again is renamed into its place, and is another inode.
        built = {str(entry.folder): entry.folder.stat().st_ino for entry in entries(cache_root(None))}
        (self._run_dir / "costs.json").write_text(json.dumps({"cpu": time.process_time(), "built": built}))


class SendSignal(pl.Callback):
    """Send a signal once, at a batch's start: to this process, its group, a rank's parent, or torchrun.

    One to another process is waited for until it has come back: that process may be slow.
    """

    def __init__(
        self, run_dir: Path, notice: Notice, name: str, epoch: int, batch: int, to: str, rank: int = 0
    ) -> None:
        self._sent = run_dir / "sent"
        self._notice = notice
        self._number = signal.Signals[name]
        self._at = (epoch, batch, rank)
        self._to = to

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        here = (trainer.current_epoch, batch_idx, trainer.global_rank)
        if here == self._at and not self._sent.exists():
            self._sent.touch()
            self._send()

    def _send(self) -> None:
        if self._to == "group":
            os.killpg(0, self._number)
        elif self._to == "parent":
            parent = multiprocessing.parent_process()
            assert parent is not None
            os.kill(parent.pid, self._number)
            self._wait()
        elif self._to == "launcher":
            os.kill(os.getppid(), self._number)
            self._wait()
        else:
            os.kill(os.getpid(), self._number)

    def _wait(self) -> None:
        deadline = time.monotonic() + 120
        while self._notice.came is None:
            assert time.monotonic() < deadline, "the signal never came back"
            time.sleep(0.02)


class Answering(pl.Callback):
    """Write down at each stage of a fit which function answers SIGTERM."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / "answering"

    def _note(self, *_: Any) -> None:
        with self._path.open("a") as file:
            print(signal.getsignal(signal.SIGTERM).__qualname__, file=file)

    on_fit_start = on_train_start = on_train_epoch_end = on_train_end = on_fit_end = _note


class Saves(pl.Callback):
    """Write down each save's position, and send a signal during it if asked to."""

    def __init__(self, run_dir: Path, name: str | None = None) -> None:
        self._path = run_dir / "saves.jsonl"
        self._number = signal.Signals[name] if name else None

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        behind_checkpoint(trainer, self)

    def on_save_checkpoint(self, trainer: Any, pl_module: Any, checkpoint: dict[str, Any]) -> None:
        if trainer.is_global_zero:
            with self._path.open("a") as file:
                file.write(json.dumps({"position": checkpoint["position"], "pid": os.getpid()}) + "\n")
        if self._number:
            os.kill(os.getpid(), self._number)


class FillDisk(pl.Callback):
    """Leave no room on the run directory's disk, once, at a batch's start."""

    def __init__(self, run_dir: Path, epoch: int, batch: int) -> None:
        self._filler = run_dir / "filler"
        self._at = (epoch, batch)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if (trainer.current_epoch, batch_idx) == self._at and not self._filler.exists():
            with self._filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(4096))


class TeardownToMeta(pl.Callback):
    """Let the strategy's teardown take the model to torch's meta device, where no forward pass works.

    On a GPU it takes the model to the CPU, away from the batches: whatever comes later fails there too.
    """

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        teardown = trainer.strategy.teardown

        def to_meta() -> None:
            teardown()
            pl_module.to("meta")

        trainer.strategy.teardown = to_meta


class StepsOnMeta(pl.Callback):
    """Train on torch's meta device for some steps: reading any number of a tensor raises there.

    A GPU would have to finish its queue first, so this is what a step without a host sync means.
    """

    def __init__(self, run_dir: Path, steps: int) -> None:
        self._done = run_dir / "steps"
        self._steps = steps

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        pl_module.to("meta")
        trainer.strategy.setup_optimizers(trainer)
        # It would copy the weights to the CPU.
        trainer.strategy.teardown = lambda: None

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        # Not before: Lightning counts the batches of an epoch on the device.
        trainer.strategy._root_device = torch.device("meta")

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        assert outputs["loss"].is_meta and batch.labels.is_meta
        if trainer.global_step == self._steps:
            self._done.write_text(str(trainer.global_step))
            raise RuntimeError("all steps are done")


class VotesBehind(pl.Callback):
    """Let ranks on the CPU read their votes two safe points later, as those on GPUs do."""

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        votes.LAGS["cpu"] = 2


class LooksLate(pl.Callback):
    """Let the guard against NaN check losses as seldom on the CPU as on a GPU, in this fit."""

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        terminate_on_nan.CHECK_EVERY["cpu"] = 50

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        terminate_on_nan.CHECK_EVERY["cpu"] = 1


class Spoil(pl.Callback):
    """Make a weight infinite after a batch, as an overflow of the gradients does."""

    def __init__(self, epoch: int, batch: int) -> None:
        self._at = (epoch, batch)

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if (trainer.current_epoch, batch_idx) == self._at:
            with torch.no_grad():
                next(pl_module.parameters())[0].fill_(float("inf"))
