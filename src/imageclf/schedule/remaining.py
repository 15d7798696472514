"""How long the rest of a run takes: the passes that are left, and the time of those that were measured."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from imageclf.schedule.phase import Phase
from imageclf.schedule.schedule import Place, Schedule
from imageclf.schedule.size import PictureSize, num_pixels

Kind = tuple[str, PictureSize]
"""What a picture goes through, and its size."""

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
        size: of the pictures where a phase names none.
        compares: whether candidates are compared at the end.
    """

    train: int
    valid: int
    search: int
    views: int
    size: PictureSize
    compares: bool


def kind_of(phase: Phase, size: PictureSize) -> Kind:
    """Return what a training picture of a phase goes through."""
    if phase.precompute:
        return "features", size
    return ("frozen body" if phase.unfreeze_to in (-1, "head") else "trained body"), size


def passes_left(schedule: Schedule, work: Workload, epoch: int, done: float = 0.0) -> Counter[Kind]:
    """Return how many pictures are yet to go through what, from a position on.

    `done` is how much of its epoch has been trained, from 0 to 1.
    """
    left: Counter[Kind] = Counter()
    # By cycles: an epoch of a long run must not cost more than one of a short run.
    for first, epochs in _cycles(schedule):
        if epoch < first + epochs:
            starts = first > epoch or (first == epoch and done == 0)
            left += _of_cycle(schedule.at(first), work, min(epochs, first + epochs - epoch), starts)
    if done > 0:
        # The cycle above was counted with the whole of this epoch.
        place = schedule.at(epoch)
        left[kind_of(place.phase, place.size or work.size)] -= round(work.train * done)
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


def _cycles(schedule: Schedule) -> Iterator[tuple[int, int]]:
    """Yield the first epoch of each cycle of a run, and its length."""
    first = 0
    for phase in schedule.phases.values():
        for epochs in phase.cycles:
            yield first, epochs
            first += epochs


def _of_cycle(place: Place, work: Workload, epochs: int, starts: bool) -> Counter[Kind]:
    """Return the passes of the last epochs of a cycle; `starts`: they begin with its first one."""
    phase, size = place.phase, place.size or work.size
    left = Counter({kind_of(phase, size): epochs * work.train})
    evaluated = work.views * work.valid
    if starts and place.is_phase_start:
        left[kind_of(phase, size)] += work.search if phase.lr == "auto" else 0
        evaluated += work.train + work.valid if phase.precompute else 0
    if not phase.precompute:
        evaluated += epochs * work.valid
    return left + Counter({("evaluation", size): evaluated})


def _cost(kind: Kind) -> float:
    return _COSTS[kind[0]] * num_pixels(kind[1])
