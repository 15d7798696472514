"""`budget`: how long phases are so that a run takes a given time, or sees a given number of pictures."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from imageclf import InputError
from imageclf.schedule.remaining import Kind, Workload, passes_left, seconds_of
from imageclf.schedule.schedule import Schedule

Cost = Callable[[Schedule], float]
"""What a run by a schedule takes, in the budget's unit."""

_SECONDS = {"s": 1, "min": 60, "h": 3600}
_WRITTEN = re.compile(r"(\d+(?:\.\d+)?)(s|min|h|pictures)")


@dataclass(frozen=True)
class Budget:
    """What a run may take: seconds, or training pictures of all epochs together."""

    amount: float
    unit: Literal["seconds", "pictures"]

    @classmethod
    def read(cls, text: str | float) -> "Budget":
        """Return the budget that is written as a number and a unit; a number alone is refused as others are.

        Raises:
            InputError: it is written otherwise, or is 0.

        >>> Budget.read("1.5h"), Budget.read("50000pictures")
        (Budget(amount=5400.0, unit='seconds'), Budget(amount=50000.0, unit='pictures'))
        """
        found = _WRITTEN.fullmatch(str(text))
        if found is None or float(found[1]) == 0:
            raise InputError(
                f"budget={text}: give a time such as 90s, 10min or 1.5h, or a number of training pictures "
                "such as 50000pictures"
            )
        if found[2] == "pictures":
            return cls(float(found[1]), "pictures")
        return cls(float(found[1]) * _SECONDS[found[2]], "seconds")


@dataclass(frozen=True)
class Pace:
    """How fast a machine is at a recipe, measured on a few of its pictures; all times in seconds.

    Args:
        measured: seconds and pictures by kind, as `seconds_of` takes them.
        work: of the run.
        ends: of a run's start and end together, besides all passes.
        epoch: of an epoch, besides its passes.
        cycle: of a cycle's end, besides its passes.
    """

    measured: Mapping[Kind, tuple[float, int]]
    work: Workload
    ends: float = 0.0
    epoch: float = 0.0
    cycle: float = 0.0

    def seconds(self, schedule: Schedule) -> float:
        """Return how long a run by a schedule takes."""
        passes = seconds_of(passes_left(schedule, self.work, epoch=0), self.measured) or 0.0
        cycles = sum(phase.n_cycles for phase in schedule.phases.values())
        return self.ends + passes + schedule.epochs * self.epoch + cycles * self.cycle


def fitted(schedule: Schedule, cost: Cost, available: float) -> Schedule:
    """Return a schedule with the same phases, as long in proportion as they can be together.

    Each epoch of a phase must cost the same, at least nothing, and what is available must be at least the
    cost of the `shortest`.
    """
    lengths = {name: phase.cycle_len for name, phase in schedule.phases.items()}
    whole = cost(schedule)
    # What another epoch of the first cycle adds, with what it makes of the later ones.
    units = {name: cost(with_lengths(schedule, {name: lengths[name] + 1})) - whole for name in lengths}
    fixed = whole - sum(lengths[name] * units[name] for name in lengths)
    return with_lengths(schedule, fitted_lengths(lengths, units, available - fixed))


def shortest(schedule: Schedule) -> Schedule:
    """Return a schedule with the same phases, each as short as it can be."""
    return with_lengths(schedule, dict.fromkeys(schedule.phases, 1))


def fitted_lengths(
    lengths: Mapping[str, int], units: Mapping[str, float], available: float
) -> dict[str, int]:
    """Return lengths in the same proportions, in whole numbers from 1, which cost no more than is available.

    What rounding down leaves goes to the phases that cost most, as long as it lasts. `units` are what 1 of
    each length costs; at least their sum must be available.

    >>> fitted_lengths({"head": 20, "finetune": 2}, {"head": 0.1, "finetune": 30.0}, 100.0)
    {'head': 33, 'finetune': 3}
    """
    factor = _factor(lengths, units, available)
    found = {name: max(1, int(factor * length)) for name, length in lengths.items()}
    left = available - sum(units[name] * found[name] for name in found)
    for name in sorted(found, key=lambda name: -units[name]):
        if found[name] < factor * lengths[name] and units[name] <= left:
            found[name] += 1
            left -= units[name]
    return found


def with_lengths(schedule: Schedule, lengths: Mapping[str, int]) -> Schedule:
    """Return a schedule with another `cycle_len` of some phases; a shorter phase warms up for less, too."""
    phases = {}
    for name, phase in schedule.phases.items():
        length = lengths.get(name, phase.cycle_len)
        warmup = phase.warmup * min(1.0, length / phase.cycle_len)
        phases[name] = replace(phase, cycle_len=length, warmup=warmup)
    return Schedule(phases)


def _factor(lengths: Mapping[str, int], units: Mapping[str, float], available: float) -> float:
    """Return the factor on all lengths that uses up what is available, where none falls below 1."""
    shorter = dict(lengths)
    # What would fall below 1 is held at 1, which leaves less for the others: again until none falls.
    while True:
        ones = sum(units[name] for name in lengths if name not in shorter)
        cost = sum(units[name] * length for name, length in shorter.items())
        factor = (available - ones) / cost if cost > 0 else 1.0
        below = [name for name, length in shorter.items() if factor * length < 1]
        if not below:
            return factor
        for name in below:
            del shorter[name]
