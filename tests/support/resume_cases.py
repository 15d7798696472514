"""The table of resumed runs: where each is stopped, in which setting, and where it has to go on."""

from dataclasses import dataclass, replace
from itertools import product
from typing import NamedTuple

# Epochs of the runs: one of `start`, two cycles of `tune`, one of `large`; four batches each, at least.
Position = tuple[int, int]


class Point(NamedTuple):
    """Where a run is stopped.

    Args:
        where: as `StopAsAsked` has it.
        at: (epoch, batch); of a save, the position that it is of.
        resumes: the last safe point before, by the number of accumulated batches.
    """

    where: str
    at: Position
    resumes: dict[int, Position]


def same(*position: int) -> dict[int, Position]:
    """Return a safe point that does not depend on accumulation."""
    epoch, batch = position
    return {1: (epoch, batch), 2: (epoch, batch)}


POINTS = {
    "before the first batch": Point("batch_start", (0, 0), same(0, 0)),
    "mid-epoch": Point("batch_end", (2, 1), same(2, 2)),
    "mid-accumulation": Point("batch_end", (2, 2), {2: (2, 2)}),
    "last batch": Point("batch_end", (1, 3), {1: (1, 3), 2: (1, 2)}),
    "first after an epoch": Point("batch_end", (1, 0), {1: (1, 1), 2: (1, 0)}),
    "during validation": Point("validation_batch_end", (1, 0), {1: (1, 3), 2: (1, 2)}),
    "cycle restart": Point("epoch_start", (2, 0), same(2, 0)),
    "size change": Point("epoch_start", (3, 0), same(3, 0)),
    "unfreezing": Point("epoch_start", (1, 0), same(1, 0)),
    "during save": Point("half", (2, 2), {1: (2, 1), 2: (2, 0)}),
}
# Further moments of a save.
SAVES = {
    "before a save": Point("before", (2, 2), {1: (2, 1), 2: (2, 0)}),
    "save written": Point("written", (2, 2), {1: (2, 1), 2: (2, 0)}),
    "save half renamed": Point("renaming", (2, 2), {1: (2, 1), 2: (2, 0)}),
}
ALL_POINTS = POINTS | SAVES


@dataclass(frozen=True)
class Setting:
    """What an undisturbed run depends on.

    Args:
        ranks: processes; the global batches are the same.
        accumulation: batches a step.
        precompute: whether the first phase trains on cached features.
        sizes: fixed or progressive.
        features: whether learning rates are searched, momentum cycles, pictures are mixed, and every view is
            looked at.
    """

    ranks: int
    accumulation: int
    precompute: bool
    sizes: str
    features: bool = False

    def __str__(self) -> str:
        ranks = f"{self.ranks} rank" + "s" * (self.ranks > 1)
        parts = (ranks, f"accumulate {self.accumulation}", "precompute" * self.precompute, self.sizes)
        return ", ".join(part for part in (*parts, "features" * self.features) if part)


@dataclass(frozen=True)
class Case:
    """A run that is stopped and goes on.

    Args:
        point: where it is stopped.
        workers: processes that read.
        setting: what else there is.
        kill: by SIGKILL of its process or processes; else by an exception.
    """

    point: str
    workers: int
    setting: Setting
    kill: bool = False

    @property
    def stop(self) -> Point:
        """Return where the run is stopped."""
        return ALL_POINTS[self.point]

    def __str__(self) -> str:
        return ", ".join((self.point, f"{self.workers} workers", str(self.setting), *["killed"] * self.kill))


def possible(point: str, setting: Setting) -> bool:
    """Return whether a run of a setting comes to a point."""
    if point == "size change" and setting.sizes != "progressive":
        return False
    return setting.accumulation in ALL_POINTS[point].resumes


def cases(ranks: int, features: bool = False) -> list[Case]:
    """Return every case that there can be on so many ranks."""
    settings = [Setting(ranks, *each, features) for each in product((1, 2), (True, False), SIZES)]
    found = [*product(POINTS, settings, (0, 2)), *product(SAVES, settings, (0,))]
    return [Case(point, workers, setting) for point, setting, workers in found if possible(point, setting)]


def featured(number: int, point: str) -> Case:
    """Return a point's case with all features, with and without accumulation in turn."""
    common = (point, True, "progressive", 0)
    found = [
        case
        for case in cases(1, features=True)
        if (case.point, case.setting.precompute, case.setting.sizes, case.workers) == common
    ]
    return found[number % len(found)]


def opposite(number: int, point: str) -> list[Case]:
    """Return two killed cases of a point on two ranks that differ in all they can; another two each time."""
    found = [case for case in cases(2) if case.point == point]
    place = number % (len(found) // 2)
    return [replace(found[each], kill=True) for each in (place, -1 - place)]


SIZES = ("fixed", "progressive")
ONE_RANK = cases(1)
FEATURES = [featured(number, point) for number, point in enumerate(ALL_POINTS)]
# Of one rank a part is killed. The stride is coprime to the numbers of workers, sizes and so on, so that
# each of these comes with every point.
KILLED = [replace(case, kill=True) for case in ONE_RANK[::9]]
# A case on two ranks takes as long as four on one.
TWO_RANKS = [case for number, point in enumerate(ALL_POINTS) for case in opposite(number, point)]
CASES = [*ONE_RANK, *FEATURES, *KILLED, *TWO_RANKS]
# What `make test` has time for: each point once, and each setting costs a reference; one case of the rest.
SHORT = [Setting(1, 1, True, "progressive"), Setting(1, 2, False, "fixed")]
PAIR = Setting(2, 2, True, "progressive")


def quick(number: int, point: str) -> Case:
    """Return a point's first case of the short settings, or its last: without workers, or with two."""
    found = [case for case in ONE_RANK if case.point == point and case.setting in SHORT]
    return found[-(number % 2)]


QUICK = {
    *[quick(number, point) for number, point in enumerate(ALL_POINTS)],
    next(case for case in FEATURES if case.setting.accumulation == 1),
    next(case for case in KILLED if case.setting in SHORT),
    next(case for case in TWO_RANKS if case.setting == PAIR),
}
