"""A schedule: named phases in running order, and what applies at any position of the run."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from types import MappingProxyType
from typing import Any

from imageclf import InputError
from imageclf.schedule.cycles import locate
from imageclf.schedule.phase import Phase
from imageclf.schedule.size import PictureSize, read_sizes

MOST_LETTERS = 64
# Words of any language; no dot, slash or bracket, which mean something in a path or an override.
_NAME = re.compile(r"[\w-]+( +[\w-]+)*")


@dataclass(frozen=True)
class Place:
    """Where an epoch lies: in which phase and cycle, and how far into them.

    Its `epoch` counts from the phase's start, and `epoch_in_cycle` from the cycle's.
    """

    name: str
    phase: Phase
    epoch: int
    cycle: int
    epoch_in_cycle: int

    @property
    def size(self) -> PictureSize | None:
        """The size of the pictures in this cycle; None where the phase names none."""
        size = self.phase.size
        return size[self.cycle] if isinstance(size, list) else size

    @property
    def batch_size(self) -> int | None:
        """Pictures a step and process in this cycle; None where the phase names none."""
        batch_size = self.phase.batch_size
        return batch_size[self.cycle] if isinstance(batch_size, list) else batch_size

    @property
    def is_phase_start(self) -> bool:
        """Whether the phase starts with this epoch."""
        return self.epoch == 0

    @property
    def is_phase_end(self) -> bool:
        """Whether the phase ends with this epoch."""
        return self.epoch == self.phase.epochs - 1

    @property
    def is_cycle_end(self) -> bool:
        """Whether the cycle ends with this epoch."""
        return self.epoch_in_cycle == self.phase.cycles[self.cycle] - 1


@dataclass(frozen=True)
class Schedule:
    """Named phases in running order: everything that changes in a run, as a function of the position.

    Raises:
        InputError: there is no phase, or as `check_names`.

    >>> schedule = Schedule({"head": Phase(n_cycles=2, lr=1e-2), "finetune": Phase(3, 1, 2, lr=1e-3)})
    >>> schedule.epochs, schedule.at(4).name, schedule.at(4).cycle
    (9, 'finetune', 1)
    """

    phases: Mapping[str, Phase]

    def __post_init__(self) -> None:
        if not self.phases:
            raise InputError("schedule.phases is empty: name at least one phase")
        check_names(self.phases)

    @classmethod
    def from_plain(cls, phases: Mapping[str, dict[str, Any]]) -> "Schedule":
        """Build a schedule from a mapping of plain mappings, as the YAML has it.

        Raises:
            InputError: as `Phase`; the message names the full key.
        """
        return cls({name: phase_from(name, dict(values or {})) for name, values in phases.items()})

    @property
    def epochs(self) -> int:
        """Epochs of the whole run."""
        return sum(phase.epochs for phase in self.phases.values())

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """The place of every epoch."""
        return tuple(
            Place(name, phase, epoch, *locate(epoch, phase.cycles))
            for name, phase in self.phases.items()
            for epoch in range(phase.epochs)
        )

    def sizes(self, size: PictureSize) -> set[PictureSize]:
        """Return the picture sizes that the run uses; `size` where a phase names none."""
        return {place.size or size for place in self.places}

    def at(self, epoch: int) -> Place:
        """Return the place of an epoch.

        Raises:
            IndexError: the epoch lies outside the run.
        """
        if not 0 <= epoch < self.epochs:
            raise IndexError(f"epoch {epoch} is outside the run's {self.epochs} epochs")
        return self.places[epoch]

    def lrs(
        self,
        groups: Sequence[str],
        epoch: int,
        batch: int,
        num_batches: int,
        found: Mapping[str, float],
        losses: Mapping[int, float] = MappingProxyType({}),
        depths: Mapping[str, int] | None = None,
    ) -> dict[str, float]:
        """Return the learning rate of each parameter group at a batch of the run, as `Phase.lrs`.

        Args:
            groups: names of the layer groups in forward order.
            epoch: counted from the run's start.
            batch: index within the epoch.
            num_batches: batches of the epoch.
            found: the head's learning rate of each phase whose `lr` is auto.
            losses: on validation, by epoch of the run; for `shape: plateau`.
            depths: of the parameter groups, as in `Phase.lrs`.

        Raises:
            InputError: as `Phase.group_lrs`.
        """
        place = self.at(epoch)
        # Those of the cycle alone: at a restart the rate is back at its peak.
        known = [losses[each] for each in range(epoch - place.epoch_in_cycle, epoch) if each in losses]
        scale = place.phase.lr_scale(place.epoch, batch, num_batches, known)
        return place.phase.lrs(groups, scale, found.get(place.name), depths)

    def momentum(self, epoch: int, batch: int, num_batches: int) -> float | None:
        """Return the momentum at a batch of the run, counted as in `lrs`; None: the optimizer's own."""
        place = self.at(epoch)
        return place.phase.momentum(place.epoch, batch, num_batches)

    def check(self, groups: Sequence[str], has_finder: bool = True, has_validation: bool = True) -> None:
        """Refuse a schedule that does not fit a model's layer groups, or what a run can find out.

        Args:
            groups: names of the layer groups in forward order.
            has_finder: whether there will be a learning-rate finder for `lr: auto`.
            has_validation: whether there will be a validation loss for `shape: plateau`.

        Raises:
            InputError: as `Phase.group_lrs` and `Phase.first_trainable`; the message names the phase.
        """
        for name, phase in self.phases.items():
            if phase.shape == "plateau" and not has_validation:
                raise InputError(
                    f"schedule.phases.{name}.shape=plateau: it goes by the validation loss, and no picture "
                    "is held out; give another shape, or data.valid_pct above 0"
                )
            try:
                # Any number stands for one that will be found; without a finder there will be none.
                phase.group_lrs(groups, found=1.0 if has_finder else None)
            except InputError as error:
                raise InputError(f"schedule.phases.{name}.{error}") from None


def check_names(names: Iterable[Any]) -> None:
    """Refuse names of phases that could not name a file, or be typed as `schedule.phases.NAME`."""
    for name in names:
        if not (isinstance(name, str) and len(name) <= MOST_LETTERS and _NAME.fullmatch(name)):
            raise InputError(
                f"schedule.phases: {name!r} cannot be the name of a phase, which also names files; "
                f"take up to {MOST_LETTERS} letters, digits, underscores, hyphens and inner spaces"
            )


def phase_from(name: str, values: dict[str, Any]) -> Phase:
    """Build a phase from plain values; errors name the full key.

    Raises:
        InputError: as `Phase`, with `schedule.phases.NAME.` before the key.
    """
    # Before the constructor, whose TypeError would name no key.
    unknown = sorted(set(values) - {each.name for each in fields(Phase)})
    if unknown:
        raise InputError(f"schedule.phases.{name}.{unknown[0]} is not a key of a phase")
    try:
        return Phase(**(values | {"size": read_sizes(values.get("size"), "size")}))
    except InputError as error:
        raise InputError(f"schedule.phases.{name}.{error}") from None
