"""How long the rest of a run takes: the passes that are left, and the time of those that were measured."""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from imageclf.schedule.phase import Phase
from imageclf.schedule.schedule import Place, Schedule

Kind = tuple[str, int]
"""What a picture goes through, and its pixels a side."""

# Time of a pass, relative to a forward pass without gradients at the same size. Of a trainable body it is a
# guess: a backward pass costs two forward ones. Cached features cost next to nothing.
_COSTS = {"evaluation": 1.0, "features": 0.0, "frozen body": 1.0, "trained body": 3.0}


class Workload(NamedTuple):
    """What a run does besides its epochs, in pictures.

    Args:
        train: of an epoch.
        valid: of a validation.
        search: of a search for a learning rate.
        views: of each validation picture at a cycle's end, besides the plain one.
        size: pixels a side where a phase names none.
        compares: whether candidates are compared at the end.
    """

    train: int
    valid: int
    search: int
    views: int
    size: int
    compares: bool


def kind_of(phase: Phase, size: int) -> Kind:
    """Return what a training picture of a phase goes through."""
    if phase.precompute:
        return "features", size
    return ("frozen body" if phase.unfreeze_to in (-1, "head") else "trained body"), size


def passes_left(schedule: Schedule, work: Workload, epoch: int, done: float = 0.0) -> Counter[Kind]:
    """Return how many pictures are yet to go through what, from a position on.

    Args:
        schedule: of the run.
        work: what the run does besides its epochs.
        epoch: of the position.
        done: how much of its epoch has been trained, from 0 to 1.
    """
    left: Counter[Kind] = Counter()
    for number in range(epoch, schedule.epochs):
        place = schedule.at(number)
        left += _of_epoch(place, work, place.size or work.size, done if number == epoch else 0.0)
    if work.compares:
        last = schedule.at(schedule.epochs - 1).size or work.size
        snapshots = sum(phase.n_cycles for phase in schedule.phases.values())
        # Each snapshot, average, ensemble and a soup that tries about as many again.
        left["evaluation", last] += (2 * snapshots + 1) * work.valid
    return left


def seconds_of(passes: Mapping[Kind, int], measured: Mapping[Kind, tuple[float, int]]) -> float | None:
    """Return how long passes take, by the measured seconds and pictures of some kinds.

    A kind that was not measured takes the mean time of the measured ones, in proportion to its pixels and to
    what a pass of it costs. None: nothing was measured that says something about the others.
    """
    costs = sum(pictures * _cost(kind) for kind, (_, pictures) in measured.items())
    seconds = sum(spent for kind, (spent, _) in measured.items() if _cost(kind) > 0)
    if costs == 0 and any(_cost(kind) > 0 for kind in passes):
        return None
    total = 0.0
    for kind, pictures in passes.items():
        if kind in measured:
            total += pictures * measured[kind][0] / measured[kind][1]
        elif _cost(kind) > 0:
            total += pictures * _cost(kind) * seconds / costs
    return total


def _of_epoch(place: Place, work: Workload, size: int, done: float) -> Counter[Kind]:
    kind = kind_of(place.phase, size)
    left = Counter({kind: round(work.train * (1 - done))})
    starts = place.is_phase_start and done == 0
    if place.phase.lr == "auto" and starts:
        left[kind] += work.search
    if place.phase.precompute and starts:
        left["evaluation", size] += work.train + work.valid
    elif not place.phase.precompute:
        left["evaluation", size] += work.valid
    if place.is_cycle_end:
        left["evaluation", size] += work.views * work.valid
    return left


def _cost(kind: Kind) -> float:
    return _COSTS[kind[0]] * kind[1] ** 2
