"""A phase: consecutive epochs with one learning rate schedule and one set of trainable groups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from imageclf import InputError
from imageclf.schedule.cycles import check_length, cycle_lengths, locate
from imageclf.schedule.legal import (
    check_each_cycle,
    check_layer_decay,
    check_lr,
    check_shape,
    index_of,
    require,
)
from imageclf.schedule.ranges import check_range, range_of
from imageclf.schedule.shapes import PCT_START, SHAPES, Shape, plateau, through, warmup_scale
from imageclf.schedule.size import PictureSize

BatchNormMode = Literal["eval", "train"]


@dataclass(frozen=True)
class Phase:
    """The settings of one phase, from its first epoch to its last; the defaults are plain SGDR on the head.

    Args:
        n_cycles: number of cycles; the learning rate jumps back to its peak at each start.
        cycle_len: epochs of the first cycle.
        cycle_mult: how many times longer each cycle is than the one before.
        lr: peak learning rate of the head, or one per layer group (first group first), or "auto":
            found by the learning-rate finder when the phase starts.
        lr_ratio: each group's rate is that of the group above it divided by this.
        layer_decay: each layer's rate is that of the layer above it times this, the head's layer first;
            in place of `lr_ratio`. None: all layers of a group have one rate.
        unfreeze_to: first group that trains, by name or index: 0 trains all, -1 the head alone.
        size: of the pictures, or a list of those of each cycle; None takes `data.size`.
        batch_size: pictures a step and process, or those of each cycle; None takes `data.batch_size`. With
            `data.global_batch_size`: of all processes together.
        augment: whether the `transforms` group is applied.
        precompute: train the head on cached features of the frozen body.
        shape: of the learning rate over a cycle; plateau: constant, and times `plateau_factor` whenever
            the validation loss has not improved for more than `patience` epochs of the cycle.
        pct_start: of `shape: onecycle` and `flat_cosine`, the share of a cycle before the rate falls; None:
            0.25 and 0.75.
        div: of `shape: onecycle`, the peak over the rate that a cycle starts with; None: 25.
        div_final: of `shape: onecycle`, the peak over the rate that a cycle ends with; None: 1e5.
        moms: momentum (of Adam: its first beta) at a cycle's start, at its highest rate and at its end, for
            `shape: onecycle`. None: the optimizer's own throughout.
        eta_min: lowest learning rate, as a fraction of the peak; no rate of `shape: plateau` is below it.
        peak_decay: factor on the peak at each restart.
        warmup: epochs at the phase's start over which the learning rate rises linearly; the `shape` of the
            cycle has the rest of it. Not with `shape: onecycle`, which rises by itself.
        slow_start: hold 1/100 of the peak for the first 1/20 of the phase's first cycle, as fastai 0.7 does.
        bn: "train": batch norm of the groups that train uses batch statistics; "eval": the whole body
            keeps its stored ones. A frozen group always keeps them.
        ema: epochs that a moving average of the weights reaches back, see `average_decay`; it starts anew
            with each cycle. It is validated and saved, and the next cycle goes on from it. None: no average.
        patience: of `shape: plateau`, in epochs.
        plateau_factor: of `shape: plateau`.

    Raises:
        InputError: a value is outside its range, or values contradict each other.

    Source: `learn.freeze_to(n); learn.fit(lrs, n_cycles, cycle_len, cycle_mult)` of fastai 0.7.
    """

    n_cycles: int = 1
    cycle_len: int = 1
    cycle_mult: int = 1
    lr: float | Sequence[float] | Literal["auto"] = "auto"
    lr_ratio: float = 1.0
    layer_decay: float | None = None
    unfreeze_to: str | int = -1
    size: PictureSize | list[PictureSize] | None = None
    batch_size: int | list[int] | None = None
    augment: bool = True
    precompute: bool = False
    shape: Shape = "cosine"
    pct_start: float | None = None
    div: float | None = None
    div_final: float | None = None
    moms: Sequence[float] | None = None
    eta_min: float = 0.0
    peak_decay: float = 1.0
    warmup: float = 0.0
    slow_start: bool = False
    bn: BatchNormMode = "train"
    ema: float | None = None
    patience: int = 1
    plateau_factor: float = 0.1

    def __post_init__(self) -> None:
        # Bare keys: `phase_from` puts the phase's name before them.
        for name, value in vars(self).items():
            check_range(name, value, range_of(f"schedule.phases.*.{name}"))
        for name in ("size", "batch_size"):
            check_each_cycle(name, getattr(self, name), self.n_cycles)
        require(self.bn in get_args(BatchNormMode), "bn", self.bn, "eval or train")
        check_length(self.n_cycles, self.cycle_len, self.cycle_mult)
        rising = f"0 to the phase's {self.epochs} epochs"
        require(0 <= self.warmup <= self.epochs, "warmup", self.warmup, rising)
        check_lr(self.lr, self.lr_ratio)
        check_layer_decay(self.layer_decay, self.lr, self.lr_ratio)
        check_shape(self.shape, self.shape_options, self.moms, self.eta_min, self.warmup)
        if self.precompute and self.augment:
            raise InputError(
                "precompute=true with augment=true: cached features are of unaugmented pictures; "
                "set augment=false, or precompute=false"
            )

    @property
    def cycles(self) -> tuple[int, ...]:
        """The length of every cycle, in epochs."""
        return cycle_lengths(self.n_cycles, self.cycle_len, self.cycle_mult)

    @property
    def shape_options(self) -> dict[str, float]:
        """What is given of the keys that shape the learning rate over a cycle."""
        given = {"pct_start": self.pct_start, "div": self.div, "div_final": self.div_final}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def epochs(self) -> int:
        """Epochs of the phase."""
        return sum(self.cycles)

    def lr_scale(self, epoch: int, batch: int, num_batches: int, losses: Sequence[float] = ()) -> float:
        """Return the multiplier of the peak learning rate at a batch.

        Args:
            epoch: counted from the phase's start.
            batch: index within the epoch.
            num_batches: batches of an epoch.
            losses: on validation, of the cycle's epochs so far; for `shape: plateau`.
        """
        cycle, done, whole = self._steps(epoch, batch, num_batches)
        if self.slow_start and cycle == 0 and 20 * done < whole:
            return 1 / 100
        if self.shape == "plateau":
            scale = max(self.eta_min, plateau(losses, self.patience, self.plateau_factor))
        else:
            course = SHAPES[self.shape](self._course(epoch, batch, num_batches), **self.shape_options)
            scale = self.eta_min + (1 - self.eta_min) * course
        # From the phase's start, not the cycle's: the warm-up is for the fresh optimizer.
        warm = warmup_scale(epoch * num_batches + batch, self.warmup * num_batches)
        return scale * self.peak_decay**cycle * warm

    def momentum(self, epoch: int, batch: int, num_batches: int) -> float | None:
        """Return the momentum at a batch, counted as in `lr_scale`; None: the optimizer's own."""
        if self.moms is None:
            return None
        start, middle, end = self.moms
        pct_start = PCT_START if self.pct_start is None else self.pct_start
        return through(start, middle, end, self._course(epoch, batch, num_batches), pct_start)

    def _steps(self, epoch: int, batch: int, num_batches: int) -> tuple[int, int, int]:
        """Return the cycle, and how many of its batches are done, of how many."""
        cycle, epoch_in_cycle = locate(epoch, self.cycles)
        return cycle, epoch_in_cycle * num_batches + batch, self.cycles[cycle] * num_batches

    def _course(self, epoch: int, batch: int, num_batches: int) -> float:
        """Return which fraction of the cycle's shape is done: it starts where the warm-up has led to."""
        cycle, done, whole = self._steps(epoch, batch, num_batches)
        rising = (self.warmup - sum(self.cycles[:cycle])) * num_batches
        # Integers without a warm-up: at a restart the fraction is 0 to the last bit.
        return done / whole if rising <= 0 else max(0.0, done - rising) / max(1.0, whole - rising)

    def layer_scale(self, depth: int) -> float:
        """Return the factor of `layer_decay` on the rate of a layer that lies `depth` layers below the head.

        >>> [Phase(layer_decay=0.5).layer_scale(depth) for depth in range(3)], Phase().layer_scale(2)
        ([1.0, 0.5, 0.25], 1.0)

        Source: https://arxiv.org/abs/2106.08254 (BEiT), `timm.optim.param_groups_layer_decay`.
        """
        return 1.0 if self.layer_decay is None else float(self.layer_decay**depth)

    def first_trainable(self, groups: Sequence[str]) -> int:
        """Return the index of the first layer group that trains.

        Raises:
            InputError: `unfreeze_to` is not a group, or `precompute` is set with a trainable body.
        """
        first = index_of(self.unfreeze_to, groups)
        if self.precompute and first < len(groups) - 1:
            given = f"precompute=true with unfreeze_to={self.unfreeze_to}: cached features need a frozen body"
            raise InputError(f"{given}; set unfreeze_to=head, or precompute=false")
        return first

    def group_lrs(self, groups: Sequence[str], found: float | None = None) -> tuple[float, ...]:
        """Return the peak learning rate of each layer group, first group first, frozen ones at 0.

        Groups are in forward order; `found` is the head's learning rate where `lr` is "auto".

        Raises:
            InputError: the number of rates is not that of the groups, or "auto" was not found yet.

        Source: `learn.fit(np.array([lr/9, lr/3, lr]), ...)` of fastai 0.7.
        """
        first = self.first_trainable(groups)
        # Frozen weights have no gradient, but weight decay would still move them at a rate above 0.
        return tuple(lr if i >= first else 0.0 for i, lr in enumerate(self._all_lrs(groups, found)))

    def lrs(
        self,
        groups: Sequence[str],
        scale: float,
        found: float | None = None,
        depths: Mapping[str, int] | None = None,
    ) -> dict[str, float]:
        """Return the learning rate of each parameter group by its name: its peak times `scale`.

        `found` is as in `group_lrs`. `depths` says how many layers each parameter group lies below the head,
        by its name, which begins with its layer group's: body0/no_decay. None: the layer groups, all at 0.

        Raises:
            InputError: as `group_lrs`.
        """
        peaks = dict(zip(groups, self.group_lrs(groups, found), strict=True))
        depths = dict.fromkeys(groups, 0) if depths is None else depths
        lrs = {name: peaks[name.partition("/")[0]] * scale for name in depths}
        return {name: lr * self.layer_scale(depths[name]) for name, lr in lrs.items()}

    def _all_lrs(self, groups: Sequence[str], found: float | None) -> tuple[float, ...]:
        if isinstance(self.lr, Sequence) and not isinstance(self.lr, str):
            if len(self.lr) != len(groups):
                raise InputError(
                    f"lr={list(self.lr)} holds {len(self.lr)} rates for {len(groups)} layer groups "
                    f"({', '.join(groups)}); give one per group, or one number with lr_ratio"
                )
            return tuple(float(rate) for rate in self.lr)
        head = found if self.lr == "auto" else self.lr
        if head is None:
            raise InputError("lr=auto needs the finder: keep callbacks.lr_finder, or give a number")
        # The head has the whole rate; each group below it divides once more.
        return tuple(float(head) / self.lr_ratio**below for below in reversed(range(len(groups))))
