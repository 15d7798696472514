"""Time the first start on a set of pictures, by cores: `python benchmarks/first_start.py`.

A first start decodes every picture once, checks it and shrinks it to the sizes of the run. It is compared
with one core that decodes the same files and does nothing else: a start on n cores is to reach at least
0.7 n times that rate. By turns, each in a fresh process that may use so many cores; imports are not timed,
the disk's last word (fsync) is. Three minutes on two cores that are otherwise idle, half of it to draw.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context, set_start_method
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import mean, median
from typing import Any, NamedTuple

from memory import PeakMemory, memory_kind
from pictures import NUM_CLASSES, draw_pictures, find_pictures

LEAST = 0.7
# Decoded before the clock starts: the first ones load what decodes them.
WARM_UP = 20


class Task(NamedTuple):
    """What is timed.

    Args:
        paths: of the pictures.
        sizes: that they are shrunk to, pixels a side.
        cache: form of the stores, raw or jpeg.
        folder: receives caches.
    """

    paths: list[str]
    sizes: list[int]
    cache: str
    folder: Path


class Timed(NamedTuple):
    """What came out.

    Args:
        rate: pictures per second.
        processes: that decoded beside the main one.
        mib: peak memory of all, or None where nobody looked.
    """

    rate: float
    processes: int
    mib: float | None = None


def main() -> None:
    """Run the benchmark; the last line of the output is one of JSON with all figures."""
    options = _options()
    with _folder(options) as folder, tempfile.TemporaryDirectory(dir=options.cache_dir) as caches:
        found = find_pictures(folder)
        paths = [str(path) for path in found]
        kilobytes = round(mean(path.stat().st_size for path in found) / 1000, 1)
        task = Task(paths, options.sizes, options.cache, Path(caches))
        # Not timed: this round fills the page cache, and its memory is looked at.
        memory = {cores: _run(_start, task, cores, watched=True) for cores in options.cores}
        rounds = [_round(task, options.cores) for _ in range(options.rounds)]
    figures = {
        "pictures": len(paths),
        "mean_kilobytes": kilobytes,
        "sizes": options.sizes,
        "cache": options.cache,
        "rounds": len(rounds),
        "memory": memory_kind(),
        "decoding_on_one_core": round(median(each["decode"].rate for each in rounds), 1),
        "cores": {cores: _figures(cores, rounds, memory[cores], len(paths)) for cores in options.cores},
        "least": LEAST,
    }
    print(_text(figures))
    print(json.dumps(figures))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    allowed = len(os.sched_getaffinity(0))
    add("--cores", type=int, nargs="+", default=sorted({1, min(2, allowed), allowed}))
    add("--rounds", type=int, default=5)
    add("--sizes", type=int, nargs="+", default=[224], help="pixels a side")
    add("--cache", choices=("raw", "jpeg"), default="raw")
    add("--cache-dir", type=Path, help="where the stores are written; /dev/shm leaves the disk out")
    add("--pictures", type=Path, help="class folders of pictures; if there are none, they are drawn here")
    add("--num-pictures", type=int, default=2000, help="to draw; fewer than 500 are worth no processes")
    options = parser.parse_args()
    if not 1 <= min(options.cores) <= max(options.cores) <= allowed:
        parser.error(f"--cores: from 1 to {allowed}")
    if options.num_pictures < NUM_CLASSES or options.rounds < 1:
        parser.error(f"--num-pictures: at least {NUM_CLASSES}; --rounds: at least 1")
    return options


@contextmanager
def _folder(options: argparse.Namespace) -> Iterator[Path]:
    """Yield the folder of the pictures to read, which are drawn if need be."""
    with tempfile.TemporaryDirectory(prefix="imageclf-first-start-") as temporary:
        folder = options.pictures or Path(temporary) / "drawn"
        if not find_pictures(folder):
            draw_pictures(folder, options.num_pictures)
        yield folder


def _round(task: Task, cores: Sequence[int]) -> dict[str | int, Timed]:
    return {"decode": _run(_decode, task, 1), **{each: _run(_start, task, each) for each in cores}}


def _run(job: Callable[[Task], Timed], task: Task, cores: int, watched: bool = False) -> Timed:
    """Do a job in a fresh process with so many cores."""
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(job, task, cores, sender))
    process.start()
    sender.close()
    assert process.pid is not None
    if watched:
        with PeakMemory(process.pid) as memory:
            timed: Timed = receiver.recv()
        timed = timed._replace(mib=memory.mib)
    else:
        timed = receiver.recv()
    process.join()
    return timed


def _serve(job: Callable[[Task], Timed], task: Task, cores: int, sender: Connection) -> None:
    # First of all: libraries count the cores when they are loaded.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    # A spawned process would spawn in turn; the platform's default is what a run has.
    set_start_method(None, force=True)
    sender.send(job(task))


def _decode(task: Task) -> Timed:
    from imageclf.data import read_picture

    def decode(paths: Sequence[str]) -> None:
        for path in paths:
            read_picture(path)

    decode(task.paths[:WARM_UP])
    return Timed(_rate(lambda: decode(task.paths), len(task.paths)), 0)


def _start(task: Task) -> Timed:
    from imageclf.data import Caching, read_picture, unreadable
    from imageclf.data.parallel import num_processes
    from imageclf.data.views.geometry import stored_side

    for path in task.paths[:WARM_UP]:
        read_picture(path)
    sides = {size: stored_side(size, "crop", max_zoom=1.1) for size in task.sizes}
    with tempfile.TemporaryDirectory(dir=task.folder) as folder:
        caching = Caching(task.cache, folder, cache_gb=1000, fingerprint="stat")
        rate = _rate(lambda: unreadable(task.paths, caching, sides, "crop"), len(task.paths))
        made = caching.stores(task.paths, sides, "crop")
        assert len(made) == len(list(Path(folder, "pictures").glob("[!.]*"))) == len(task.sizes)
    return Timed(rate, num_processes(task.paths))


def _rate(job: Callable[[], object], pictures: int) -> float:
    started = time.perf_counter()
    job()
    return pictures / (time.perf_counter() - started)


def _figures(
    cores: int, rounds: Sequence[dict[str | int, Timed]], watched: Timed, pictures: int
) -> dict[str, Any]:
    rates = [each[cores].rate for each in rounds]
    ratios = [each[cores].rate / each["decode"].rate for each in rounds]
    return {
        "seconds": round(pictures / median(rates), 2),
        "images_per_second": round(median(rates), 1),
        "ratio": round(median(ratios), 3),
        "ratio_per_core": round(median(ratios) / cores, 3),
        "ratios_per_core": [round(ratio / cores, 3) for ratio in ratios],
        "processes": watched.processes,
        "memory_mib": None if watched.mib is None else round(watched.mib),
    }


def _text(figures: dict[str, Any]) -> str:
    lines = [f"one core decodes {figures['decoding_on_one_core']:,.0f} pictures a second"]
    for cores, each in figures["cores"].items():
        memory = "" if each["memory_mib"] is None else f", {each['memory_mib']:,} MiB"
        lines.append(
            f"first start on {cores}: {each['seconds']:.2f} s, {each['images_per_second']:,.0f} pictures a "
            f"second, {each['ratio_per_core']:.2f} of that for each core (at least {LEAST}){memory}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
