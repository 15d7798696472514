"""How long slots of a sweep are idle where jobs take very different times, by a simulated clock."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from imageclf.launch import sweep
from imageclf.launch.jobs import Job
from imageclf.launch.shares import split_machine

JOBS, SLOTS = 40, 2


class Pool:
    """Takes the place of processes: each lasts as long as its number says, and nothing else takes time."""

    def __init__(self, seconds: list[int]) -> None:
        self.seconds = seconds
        self.now = 0
        self.signals: list[int] = []
        self.started: dict[int, int] = {}
        self.running: dict[int, int] = {}

    def start(self, number: int, function: Callable[[], object], **environment: str) -> None:
        self.started[number] = self.now
        self.running[number] = self.now + self.seconds[number]

    def wait(self) -> dict[int, float]:
        self.now = min(self.running.values())
        ended = [number for number, end in self.running.items() if end == self.now]
        return {number: float(self.running.pop(number)) for number in ended}


@pytest.fixture(params=range(3))
def pool(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Pool:
    """Return a pool of jobs of which the longest take ten times as long as the shortest."""
    draw = Random(request.param)
    pool = Pool([draw.randint(1, 10) for _ in range(JOBS)])

    @contextmanager
    def open_pool() -> Iterator[Any]:
        yield pool

    monkeypatch.setattr(sweep, "open_pool", open_pool)
    return pool


def jobs(pool: Pool, asked: list[int], folder: Path) -> Iterator[Job]:
    """Yield jobs one by one, as a search does, and note when each was asked for."""
    for number in range(JOBS):
        asked.append(pool.now)
        yield Job(number, f"job {number}", (), b"", b"", folder / str(number))


def test_no_slot_is_idle_while_a_job_is_left(pool: Pool, tmp_path: Path) -> None:
    asked: list[int] = []
    shares = split_machine(SLOTS, [], 1, 1, SLOTS)
    ended = [pool.now for _ in sweep.run_jobs(jobs(pool, asked, tmp_path), shares, None)]
    assert len(ended) == JOBS
    # Of each slot, until there is no further job to start.
    last = max(pool.started.values())
    busy = sum(min(pool.started[number] + pool.seconds[number], last) for number in range(JOBS))
    idle = SLOTS * last - (busy - sum(pool.started.values()))
    assert idle <= 0.05 * SLOTS * last
    # A search knows the more, the later it is asked.
    assert asked == [pool.started[number] for number in range(JOBS)]
