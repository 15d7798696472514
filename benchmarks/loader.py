"""Compare loaders of training pictures: `python benchmarks/loader.py --help`; the README says how fair."""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from statistics import mean, median
from typing import Any

from measure import Contestant, Entry, Inspection, Task
from memory import memory_kind
from pictures import NUM_CLASSES, draw_pictures, find_pictures, link_pictures

# Modes of our cache.
CACHES = ("raw", "jpeg", "none")
PEERS = {
    "torchvision": (
        Entry("torchvision", "peers", "torchvision_pictures"),
        Entry("torchvision tensors", "peers", "torchvision_tensors"),
    ),
    "timm": (Entry("timm", "peers", "timm_loader"),),
    "fastai": (Entry("fastai", "peers", "fastai_loader", dtype="float32"),),
}


def main() -> None:
    """Run the benchmark; the last line of the output is one of JSON with all figures."""
    options = _options()
    # A device would do a peer's work, or only take the memory of its context.
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    entries = [Entry(f"imageclf {cache}", "ours", "ours", (cache,)) for cache in options.cache]
    entries += [entry for peer in _installed(options.peers) for entry in PEERS[peer]]
    with _folder(options) as folder:
        figures = _describe(folder, options)
        for size in options.sizes:
            task = Task(folder, size, options.workers, options.batch_size)
            loaders = _compare(entries, task, options.rounds)
            figures["sizes"][size] = {"loaders": loaders, **_ratios(loaders)}
            print(_table(size, figures), flush=True)
    print(json.dumps(figures))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--sizes", type=_positive, nargs="+", default=[224, 64], help="pixels a side")
    add("--rounds", type=_positive, default=5, help="timed epochs of each loader")
    add("--workers", type=int, default=2, help="processes of each loader")
    add("--batch-size", type=_positive, default=64)
    add("--pictures", type=Path, help="class folders of pictures; if there are none, they are drawn here")
    add("--num-pictures", type=_positive, default=2000, help="to draw")
    add("--images", type=_positive, help="read only so many of the pictures")
    add("--cache", choices=CACHES, nargs="+", default=list(CACHES), help="modes of ours")
    add("--peers", choices=tuple(PEERS), nargs="*", default=list(PEERS))
    options = parser.parse_args()
    if options.num_pictures < max(NUM_CLASSES, options.batch_size):
        parser.error(f"--num-pictures: at least a batch, and {NUM_CLASSES}")
    return options


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def _installed(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if find_spec(name) is None:
            print(f"{name} is not installed and left out: pip install 'imageclf[bench]'", file=sys.stderr)
        else:
            yield name


@contextmanager
def _folder(options: argparse.Namespace) -> Iterator[Path]:
    """Yield the folder of the pictures to read, which are drawn if need be."""
    with tempfile.TemporaryDirectory(prefix="imageclf-bench-") as temporary:
        folder = options.pictures or Path(temporary) / "drawn"
        pictures = find_pictures(folder)
        if not pictures:
            if folder.exists() and any(folder.iterdir()):
                raise SystemExit(f"{folder}: it holds other things than class folders of pictures")
            draw_pictures(folder, options.num_pictures)
            pictures = find_pictures(folder)
        if options.images is not None and options.images < len(pictures):
            folder = Path(temporary) / "linked"
            link_pictures(pictures, options.images, folder)
        if len(find_pictures(folder)) < options.batch_size:
            raise SystemExit(f"{folder}: not even one batch of {options.batch_size} pictures")
        yield folder


def _describe(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    pictures = find_pictures(folder)
    packages = ("torch", "torchvision", "timm", "fastai", "pillow", "opencv-python-headless")
    return {
        "pictures": len(pictures),
        "mean_kilobytes": round(mean(path.stat().st_size for path in pictures) / 1000, 1),
        "workers": options.workers,
        "batch_size": options.batch_size,
        "rounds": options.rounds,
        "memory": memory_kind(),
        "cores": os.cpu_count(),
        "versions": {name: version(name) for name in packages if name != "fastai" or find_spec(name)},
        "sizes": {},
    }


def _compare(entries: Sequence[Entry], task: Task, rounds: int) -> dict[str, dict[str, Any]]:
    """Return the figures of each contestant by name; after two epochs each, they take turns."""
    with ExitStack() as stack:
        contestants = {entry: stack.enter_context(Contestant(entry, task)) for entry in entries}
        memory = {entry.name: _checked(entry, one, task) for entry, one in contestants.items()}
        rates: dict[str, list[float]] = {entry.name: [] for entry in entries}
        for number in range(rounds):
            for entry, one in contestants.items():
                rates[entry.name].append(one.time(number + 2))
            _say(f"{task.size} px, round {number + 1}", {name: each[-1] for name, each in rates.items()})
    return {name: _summary(rates[name], memory[name]) for name in rates}


def _checked(entry: Entry, contestant: Contestant, task: Task) -> float | None:
    """Warm a contestant up and check what it delivers; return its peak memory, MiB."""
    first, second = contestant.inspect(0), contestant.inspect(1)
    images = len(find_pictures(task.folder)) // task.batch_size * task.batch_size
    shape = (task.batch_size, 3, task.size, task.size)
    for epoch in (first, second):
        _check(entry, epoch.kinds == {(shape, entry.dtype)}, f"gave {epoch.kinds}")
        _check(entry, epoch.images == images, f"gave {epoch.images} pictures, not {images}")
        _check(entry, len(epoch.hashes) > 0.99 * images, "gave a picture more than once in an epoch")
    _check(entry, len(first.hashes & second.hashes) < 0.01 * images, "gave the same pictures in two epochs")
    return _largest(first, second)


def _check(entry: Entry, holds: bool, otherwise: str) -> None:
    if not holds:
        raise SystemExit(f"{entry.name} {otherwise}")


def _largest(*epochs: Inspection) -> float | None:
    return max((epoch.mib for epoch in epochs if epoch.mib is not None), default=None)


def _say(heading: str, rates: Mapping[str, float]) -> None:
    listing = ", ".join(f"{name} {rate:.0f}" for name, rate in rates.items())
    print(f"{heading}, images/s: {listing}", file=sys.stderr, flush=True)


def _summary(rates: Sequence[float], mib: float | None) -> dict[str, Any]:
    return {
        "images_per_second": round(median(rates), 1),
        "lowest": round(min(rates), 1),
        "highest": round(max(rates), 1),
        "memory_mib": None if mib is None else round(mib),
    }


def _ratios(loaders: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Compare each of ours with the fastest of the others."""
    rates = {name: figures["images_per_second"] for name, figures in loaders.items()}
    mine = [name for name in rates if name.startswith("imageclf")]
    fastest = max((name for name in rates if name not in mine), key=lambda name: rates[name], default=None)
    ratios = {} if fastest is None else {name: round(rates[name] / rates[fastest], 3) for name in mine}
    return {"fastest_peer": fastest, "ratio_to_fastest_peer": ratios}


def _table(size: int, figures: Mapping[str, Any]) -> str:
    result, kind = figures["sizes"][size], figures["memory"] or "memory"
    lines = [
        f"\n{size} px: {figures['pictures']} pictures of {figures['mean_kilobytes']} KB on average, "
        f"{figures['workers']} workers, batches of {figures['batch_size']}, {figures['rounds']} rounds",
        f"{'loader':22}{'images/s':>10}{'range':>16}{f'peak {kind}, MiB':>20}",
    ]
    for name, row in result["loaders"].items():
        spread = f"{row['lowest']:.0f} - {row['highest']:.0f}"
        memory = "?" if row["memory_mib"] is None else row["memory_mib"]
        lines.append(f"{name:22}{row['images_per_second']:>10.0f}{spread:>16}{memory:>20}")
    for name, ratio in result["ratio_to_fastest_peer"].items():
        lines.append(f"{name}: {ratio:.2f} x {result['fastest_peer']}, the fastest peer")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
