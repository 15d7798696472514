"""A schedule: named phases in running order, and what holds at any position of the run."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from imageclf import InputError
from imageclf.schedule.cycles import locate
from imageclf.schedule.phase import Phase, phase_from


@dataclass(frozen=True)
class Place:
    """Where an epoch lies: its phase and cycle, and what is left of them.

    Args:
        name: the phase's name.
        phase: the phase.
        start: first epoch of the phase, counted from the run's start.
        epoch: the epoch, counted from the phase's start.
        cycle: index of the cycle within the phase.
        epoch_in_cycle: the epoch, counted from the cycle's start.
    """

    name: str
    phase: Phase
    start: int
    epoch: int
    cycle: int
    epoch_in_cycle: int

    @property
    def is_phase_start(self) -> bool:
        """Whether the phase starts with this epoch."""
        return self.epoch == 0

    @property
    def is_cycle_end(self) -> bool:
        """Whether the cycle ends with this epoch."""
        return self.epoch_in_cycle == self.phase.cycles[self.cycle] - 1


@dataclass(frozen=True)
class Schedule:
    """Named phases in running order: everything that changes in a run, as a function of the position.

    Raises:
        InputError: there is no phase.

    >>> schedule = Schedule({"head": Phase(n_cycles=2, lr=1e-2), "finetune": Phase(3, 1, 2, lr=1e-3)})
    >>> schedule.epochs, schedule.at(4).name, schedule.at(4).cycle
    (9, 'finetune', 1)
    """

    phases: Mapping[str, Phase]
    _starts: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Lay the phases end to end."""
        if not self.phases:
            raise InputError("schedule.phases is empty: name at least one phase")
        # Computed once: `at` is asked several times per batch.
        starts, end = {}, 0
        for name, phase in self.phases.items():
            starts[name] = end
            end += phase.epochs
        # The dataclass is frozen for its users; this is still its construction.
        object.__setattr__(self, "_starts", starts)

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

    def at(self, epoch: int) -> Place:
        """Return the place of an epoch.

        Raises:
            IndexError: the epoch lies outside the run.
        """
        for name, phase in self.phases.items():
            start = self._starts[name]
            if start <= epoch < start + phase.epochs:
                return Place(name, phase, start, epoch - start, *locate(epoch - start, phase.cycles))
        raise IndexError(f"epoch {epoch} is outside the run's {self.epochs} epochs")

    def lrs(
        self, groups: Sequence[str], epoch: int, batch: int, num_batches: int, found: Mapping[str, float]
    ) -> dict[str, float]:
        """Return the learning rate of each layer group at a batch of the run.

        Args:
            groups: names of the layer groups in forward order.
            epoch: counted from the run's start.
            batch: index within the epoch.
            num_batches: batches of the epoch.
            found: the head's learning rate of each phase whose `lr` is auto.

        Raises:
            InputError: as `Phase.group_lrs`.
        """
        place = self.at(epoch)
        # Peaks first, then one scale: the ratios between groups hold at every batch.
        peaks = place.phase.group_lrs(groups, found.get(place.name))
        scale = place.phase.lr_scale(place.epoch, batch, num_batches)
        return {name: peak * scale for name, peak in zip(groups, peaks, strict=True)}

    def check(self, groups: Sequence[str], has_finder: bool = True) -> None:
        """Refuse a schedule that does not fit a model's layer groups.

        Args:
            groups: names of the layer groups in forward order.
            has_finder: whether a learning-rate finder will be there to serve `lr: auto`.

        Raises:
            InputError: as `Phase.group_lrs` and `Phase.first_trainable`; the message names the phase.
        """
        for name, phase in self.phases.items():
            try:
                # Any number stands for one that is not found yet; only its absence is a mistake.
                phase.group_lrs(groups, found=1.0 if has_finder else None)
            except InputError as error:
                raise InputError(f"schedule.phases.{name}.{error}") from None

    def steps(self, num_batches: Callable[[Phase], int]) -> Iterator[tuple[int, int, int, Place]]:
        """Yield (step, epoch, batch, place) for every training step of the run.

        Args:
            num_batches: batches of an epoch of a phase.
        """
        step = 0
        for epoch in range(self.epochs):
            place = self.at(epoch)
            for batch in range(num_batches(place.phase)):
                yield step, epoch, batch, place
                step += 1
