"""metrics.csv: a row per epoch, also where a run was killed and resumed inside the epoch."""

import csv
import logging
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import lightning as pl
import torch

from imageclf.analysis.fit import unfreezing_drop
from imageclf.callbacks.callback import Callback, Order, data_of
from imageclf.schedule import RunState, Schedule
from imageclf.schedule.size import plain
from imageclf.system.files import write_atomically
from imageclf.system.words import score_digits

log = logging.getLogger(__name__)

Row = dict[str, str | int | float]

_LOSSES = {"train": "train", "val": "valid"}
# Said by the lines of an epoch in other words, or by the verdict on its fit.
_IN_WORDS = {"val/loss", "val/acc", "val/acc_tta", "val/loss_tta", "val/acc_tta_gain", "val/loss_error"}


def write_rows(path: Path, rows: list[Row]) -> None:
    """Write rows as CSV; a column that is missing in a row is left blank."""
    columns = list(dict.fromkeys(name for row in rows for name in row))

    def write(temporary: Path) -> None:
        """Write the CSV under a temporary name."""
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)

    write_atomically(path, write)


def epoch_lines(row: Row) -> list[str]:
    r"""Return an epoch's row as the terminal shows it: a line, and one for test-time augmentation.

    >>> row = {"epoch": 3, "phase": "head", "size": 128, "lr/head": 0.01, "train/loss": 0.5, "val/loss": 0.4}
    >>> tta = {"val/acc_tta": 0.88, "val/loss_tta": 0.38, "val/acc_tta_gain": 0.005}
    >>> print("\n".join(epoch_lines(row | {"val/acc": 0.875} | tta)))
    epoch   3  head       128 px  lr 1.0e-02  loss 0.5000 train, 0.4000 valid  accuracy 87.5 %
               with test-time augmentation: loss 0.3800, accuracy 88.0 % (+0.5 points)
    """
    start = f"epoch {row['epoch']:>3}  {row['phase']:<9} {row['size']:>4} px  lr {row['lr/head']:.1e}"
    losses = [f"{row[f'{of}/loss']:.4f} {name}" for of, name in _LOSSES.items() if f"{of}/loss" in row]
    parts = [start, f"loss {', '.join(losses)}"] if losses else [start]
    if "val/acc" in row:
        parts.append(f"accuracy {100 * float(row['val/acc']):.1f} %")
    others = [name for name in row if name.startswith("val/") and name not in _IN_WORDS]
    parts += [f"{name} {score_digits(float(row[name]))}" for name in others]
    return ["  ".join(parts), *_tta_line(row)]


def _tta_line(row: Row) -> list[str]:
    if "val/loss_tta" not in row:
        return []
    if "val/acc_tta" not in row:
        return [f"{' ' * 11}with test-time augmentation: loss {row['val/loss_tta']:.4f}"]
    accuracy, gain = (100 * float(row[name]) for name in ("val/acc_tta", "val/acc_tta_gain"))
    loss = row["val/loss_tta"]
    words = f"with test-time augmentation: loss {loss:.4f}, accuracy {accuracy:.1f} % ({gain:+.1f} points)"
    return [" " * 11 + words]


def own_sums(saved: list[list[float]], rank: int, world_size: int) -> list[float]:
    """Return the sums that a rank goes on with, of those that each rank saved.

    If the number of ranks has changed, the first takes the sums of all.

    >>> own_sums([[1.0, 2.0], [3.0, 4.0]], 1, 2), own_sums([[1.0, 2.0], [3.0, 4.0]], 0, 1)
    ([3.0, 4.0], [4.0, 6.0])
    """
    if len(saved) == world_size:
        return saved[rank]
    return [sum(column) for column in zip(*saved, strict=True)] if rank == 0 else [0.0, 0.0]


class History(Callback):
    """Write `metrics.csv`, log each epoch, and log the training loss; `lr/...` is that of the first batch.

    The scores in the state of the run become the row.
    """

    order = Order.RECORD

    def __init__(self, schedule: Schedule, state: RunState, run_dir: Path) -> None:
        self._schedule = schedule
        self._state = state
        self._path = run_dir / "metrics.csv"
        self._rows: list[Row] = []
        # The sums behind the epoch's mean loss: a position does not determine them.
        self._sum, self._count = 0.0, 0.0
        self._batch_losses: list[tuple[torch.Tensor, float]] = []
        self._strategy: Any = None
        self._started = time.monotonic()

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Keep the strategy, which gathers the ranks' sums when they are saved."""
        self._strategy = trainer.strategy

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Reset the sums."""
        self._sum, self._count, self._batch_losses = 0.0, 0.0, []
        self._started = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the batch's loss on its device: reading it would wait for the device at every step."""
        # Lightning has divided it by the accumulated batches; `total` counts the pictures of all ranks.
        loss = outputs["loss"].detach() * trainer.accumulate_grad_batches
        self._batch_losses.append((loss, batch.total / trainer.world_size))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the epoch's row."""
        total, count = (sum(column) for column in zip(*self._sums(), strict=True))
        row = self._row(trainer, pl_module, total / count)
        # A resumed epoch replaces the row of its first try.
        self._rows = [*(old for old in self._rows if int(old["epoch"]) < trainer.current_epoch), row]
        pl_module.log("train/loss", float(row["train/loss"]), sync_dist=True)
        if trainer.is_global_zero:
            write_rows(self._path, self._rows)
            for line in epoch_lines(row):
                log.info("%s", line)
            self._explain_drop(len(data_of(trainer).table.rows("valid")))

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far and the sums of each rank; a collective call."""
        return {"rows": self._rows, "sums": self._sums()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the rows and this rank's sums."""
        self._rows = state_dict["rows"]
        self._sum, self._count = own_sums(
            state_dict["sums"], self._strategy.global_rank, self._strategy.world_size
        )

    def _explain_drop(self, pictures: int) -> None:
        """Log why the accuracy fell in an epoch that unfreezes layers."""
        for before, after in pairwise(self._rows[-2:]):
            if drop := unfreezing_drop(before, after, pictures):
                log.info(drop)

    def _sums(self) -> list[list[float]]:
        """Return [sum of losses, number of pictures] of each rank, so far in this epoch."""
        if self._batch_losses:
            losses, sizes = zip(*self._batch_losses, strict=True)
            # One copy from the device for all of them.
            for loss, size in zip(torch.stack(losses).tolist(), sizes, strict=True):
                self._sum += loss * size
                self._count += size
        self._batch_losses = []
        sums = [self._sum, self._count]
        if self._strategy.world_size == 1:
            return [sums]
        device = self._strategy.root_device
        gathered: list[list[float]] = self._strategy.all_gather(
            torch.tensor(sums, dtype=torch.float64, device=device)
        ).tolist()
        return gathered

    def _row(self, trainer: pl.Trainer, module: Any, train_loss: float) -> Row:
        epoch, num_batches = trainer.current_epoch, int(trainer.num_training_batches)
        place = self._schedule.at(epoch)
        groups, state = module.groups, self._state
        lrs = self._schedule.lrs(
            groups.names, epoch, 0, num_batches, state.found_lrs, state.val_losses, groups.tops
        )
        row: Row = {"epoch": epoch, "phase": place.name, "size": plain(data_of(trainer).size_of(place))}
        row |= {f"lr/{group}": lr for group, lr in lrs.items()}
        row |= {"train/loss": train_loss} | state.scores | {"seconds": time.monotonic() - self._started}
        state.scores.clear()
        return row
