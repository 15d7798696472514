"""What a number of a training config may be: one table for all keys."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from imageclf import InputError
from imageclf.system.printable import written


class Range(NamedTuple):
    """Legal numbers.

    Args:
        low: the smallest.
        high: the largest.
        above: whether `low` itself is illegal.
        below: whether `high` itself is illegal.
    """

    low: float
    high: float
    above: bool = False
    below: bool = False

    def holds(self, number: float) -> bool:
        """Return whether a number is legal; NaN never is."""
        reaches = number > self.low if self.above else number >= self.low
        return reaches and (number < self.high if self.below else number <= self.high)

    def __str__(self) -> str:
        """Write the range in words.

        >>> str(Range(0, 1, above=True)), str(Range(1, 8192)), str(Range(0, 1, above=True, below=True))
        ('above 0, up to 1', 'from 1 to 8192', 'above 0, below 1')
        """
        low, high = f"{self.low:g}", f"{'below ' if self.below else ''}{self.high:.15g}"
        if self.above:
            return f"above {low}, {high if self.below else f'up to {high}'}"
        return f"from {low} to {high}"


_SHARE, _BELOW_ONE, _FACTOR = Range(0, 1), Range(0, 1, below=True), Range(0, 1, above=True)
_COUNT, _COUNT_FROM_0 = Range(1, 1e6), Range(0, 1e6)
_PIXELS, _BATCH, _SEED, _WORKERS = Range(1, 8192), Range(1, 65_536), Range(0, 2**32 - 1), Range(0, 1024)
_EPOCHS_FROM_0, _RATE, _AMOUNT = Range(0, 1e5), Range(0, 1e3, above=True), Range(0, 1e6, above=True)

# A star stands for any name. A list is judged number by number; null and words are not numbers.
RANGES: Mapping[str, Range] = {
    "seed": _SEED,
    "data.valid_pct": _BELOW_ONE,
    "data.split_seed": _SEED,
    "data.fold": Range(0, 9999),
    "data.folds": Range(2, 10_000),
    "data.size": _PIXELS,
    "data.channels": Range(1, 64),
    "data.batch_size": _BATCH,
    "data.global_batch_size": _BATCH,
    "data.num_workers": _WORKERS,
    "data.cache_gb": _AMOUNT,
    "transforms.max_rotate": Range(0, 180),
    "transforms.p_rotate": _SHARE,
    "transforms.max_zoom": Range(1, 10),
    "transforms.p_zoom": _SHARE,
    "transforms.max_warp": Range(0, 0.3),
    "transforms.p_warp": _SHARE,
    "transforms.max_lighting": Range(0, 0.9),
    "transforms.p_lighting": _SHARE,
    "transforms.p_flip": _SHARE,
    "transforms.min_scale": Range(0.01, 1),
    "transforms.max_ratio": Range(1, 10),
    "model.groups": Range(2, 1000),
    "model.drop_path_rate": _BELOW_ONE,
    "model.class_weights": Range(0, 1e6),
    "model.head.dropout": _BELOW_ONE,
    "model.loss.label_smoothing": _BELOW_ONE,
    "model.loss.gamma": Range(0, 100),
    "model.optimizer.weight_decay": Range(0, 100),
    "model.optimizer.momentum": _BELOW_ONE,
    "model.mixing.mixup": Range(0, 10),
    "model.mixing.cutmix": Range(0, 10),
    "model.mixing.erase": _SHARE,
    "schedule.phases.*.n_cycles": Range(1, 1e5),
    "schedule.phases.*.cycle_len": Range(1, 1e5),
    "schedule.phases.*.cycle_mult": Range(1, 1e5),
    # Which rate is too high only training shows: callbacks.terminate_on_nan ends the run.
    "schedule.phases.*.lr": Range(0, 1e30, above=True),
    "schedule.phases.*.lr_ratio": _AMOUNT,
    "schedule.phases.*.layer_decay": _FACTOR,
    "schedule.phases.*.unfreeze_to": Range(-1000, 1000),
    "schedule.phases.*.size": _PIXELS,
    "schedule.phases.*.batch_size": _BATCH,
    "schedule.phases.*.pct_start": _SHARE,
    "schedule.phases.*.div": Range(1, 1e9),
    "schedule.phases.*.div_final": Range(1, 1e12),
    "schedule.phases.*.moms": _BELOW_ONE,
    "schedule.phases.*.eta_min": _BELOW_ONE,
    "schedule.phases.*.peak_decay": _FACTOR,
    "schedule.phases.*.warmup": _EPOCHS_FROM_0,
    "schedule.phases.*.ema": Range(0, 1e5, above=True),
    "schedule.phases.*.patience": _EPOCHS_FROM_0,
    "schedule.phases.*.plateau_factor": _FACTOR,
    "callbacks.lr_finder.lr_min": _RATE,
    "callbacks.lr_finder.lr_max": _RATE,
    "callbacks.lr_finder.num_steps": Range(2, 1e5),
    "callbacks.lr_finder.beta": _BELOW_ONE,
    "callbacks.lr_finder.fallback": _RATE,
    "callbacks.tta.num_augmented": Range(0, 1000),
    "callbacks.tta.beta": _SHARE,
    "callbacks.fit_verdict.tolerance": Range(0, 100),
    "callbacks.ema.decay": Range(0, 1, above=True, below=True),
    "callbacks.snapshots.last": _COUNT,
    "callbacks.checkpoint.every_n_minutes": _AMOUNT,
    "callbacks.checkpoint.every_n_batches": _COUNT,
    "lr_batch_size": _COUNT,
    # Of imageclf-predict.
    "batch_size": _BATCH,
    "num_workers": _WORKERS,
    "trainer.devices": Range(-1, 1e6),
    "trainer.num_nodes": _COUNT,
    "trainer.accumulate_grad_batches": _COUNT,
    "trainer.gradient_clip_val": Range(0, 1e6),
    "trainer.log_every_n_steps": _COUNT_FROM_0,
    "cluster.nodes": _COUNT,
    "cluster.tasks_per_node": Range(1, 1024),
    "cluster.gpus_per_node": Range(0, 1024),
    "cluster.cpus_per_task": Range(1, 1e5),
    "cluster.mem_gb": _COUNT,
    "cluster.minutes": Range(1, 1e7),
    "cluster.signal_seconds": Range(0, 65_535),
    "cluster.max_num_timeout": _COUNT_FROM_0,
    "cluster.array_parallelism": _COUNT,
}
_PHASE = re.compile(r"^(schedule\.phases)\.[^.]+")


def range_of(key: str) -> Range | None:
    """Return what a number under a dotted key may be; None where anything goes."""
    return RANGES.get(_PHASE.sub(r"\1.*", key))


def check_ranges(group: str, values: Mapping[str, Any]) -> None:
    """Refuse the first of some values, by their keys in a group, that `check_range` refuses."""
    for name, value in values.items():
        check_range(f"{group}.{name}", value)


def check_range(key: str, value: Any, legal: Range | None = None) -> None:
    """Refuse a number outside its range, or a list that holds one, with an InputError.

    `legal` is the range where the key is not whole; None: that of the key.
    """
    legal = legal or range_of(key)
    if legal is None:
        return
    for each in value if isinstance(value, list | tuple) else [value]:
        is_number = isinstance(each, int | float) and not isinstance(each, bool)
        if is_number and not legal.holds(each):
            raise InputError(f"{key}={written(value)}: give a number {legal}")
