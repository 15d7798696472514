"""A tournament on hidden pictures: lesson2 and minimal as shipped, against what else one would use.

`python benchmarks/tournament.py RUNS` trains the same backbone with the same weights on six sets, with all
their pictures and with 10 of each class, by three seeds: some three hours on two cores. Of each class 0.4
are hidden: no contestant sees them until its one model is chosen. RUNS keeps the pictures, and `--results
FILE.csv` a line of each result: which hidden pictures were right. What is in it is not done again, so that it
may grow by parts; those of a contestant that has changed are to be deleted. `--folders` adds folders of
classes of your own, `--write docs/tournament.md` keeps the tables. Each trains with one thread, `--jobs` of
them side by side. `--equal-seconds` gives each rival as many epochs as take the seconds of CPU that lesson2
took. `--autogluon PYTHON` adds AutoGluon, by the Python of an environment of its own: its torch and timm are
older.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from sets import SETS, make_set
from tournament_tables import Cell, page

HIDDEN = 0.4
"""Share of each class that is hidden."""
SHOTS = 10
"""Pictures of a class to train and validate on, where they are few."""
VALID_PCT = 0.2
"""Share of these that each contestant may validate on."""
EPOCHS = 10
"""How often lesson2 trains on each picture with augmentation; each rival does so as often."""
CONTESTANTS = (
    "lesson2",
    "minimal",
    "probe",
    "fastai",
    "fastai-found",
    "fastai-frozen-bn",
    "timm",
    "autogluon",
)
WITHOUT_EPOCHS = ("lesson2", "minimal", "probe")
"""Contestants that are not told how long to train."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""So that seconds of CPU say the same whatever else the machine does."""
_RESULTS = Lock()


@dataclass(frozen=True)
class Bout:
    """What one contestant does.

    Args:
        contestant: one of CONTESTANTS.
        folder: holds `train` and `hidden`, with a folder per class each.
        seed: of the split into training and validation pictures, and of the training.
        size: pixels a side.
        epochs: of rivals, with augmentation.
        run_dir: for files of the training.
        python: that has AutoGluon.
    """

    contestant: str
    folder: str
    seed: int
    size: int
    epochs: int
    run_dir: str
    python: str | None = None


class Arena(NamedTuple):
    """A set with some of its pictures hidden by a seed; `folder` holds `train` and `hidden`."""

    pictures: str
    shots: str
    seed: int
    folder: Path


def main() -> None:
    """Hold the tournament; the last line of the output is one of JSON with the mean accuracy of each cell."""
    options = _options()
    if options.bout:
        # A process of its own, so that none pays for the imports, threads or memory of another.
        from tournament_contestants import result_of

        print(json.dumps(result_of(Bout(**json.loads(options.bout)))))
        return
    cells = compete(_arenas(options), options)
    if options.write:
        options.write.parent.mkdir(parents=True, exist_ok=True)
        options.write.write_text(page(cells, SETS, options), encoding="utf-8")
    figures = {f"{cell.pictures}, {cell.shots}, {cell.contestant}": round(cell.accuracy, 4) for cell in cells}
    print(json.dumps(figures))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("runs", type=Path, help="folder of sets and results; finished ones in it are kept")
    add("--sets", nargs="*", choices=tuple(SETS), default=[name for name in SETS if "-" not in name])
    add("--folders", nargs="*", type=Path, default=[], help="of classes, beside the sets")
    add("--shots", nargs="+", choices=("all", "few"), default=["all", "few"], help=f"few: {SHOTS} of a class")
    add("--only", nargs="+", choices=CONTESTANTS, help="all by default; autogluon only with --autogluon")
    add("--seeds", type=int, default=3, help="each hides other pictures")
    add("--size", type=int, default=96)
    add("--epochs", type=int, default=EPOCHS)
    add("--equal-seconds", action="store_true")
    add("--results", type=Path, help="a CSV of the results so far; RUNS/results.csv by default")
    add("--jobs", type=int, default=1, help="bouts side by side")
    add("--autogluon", help="a Python that has autogluon.multimodal")
    add("--write", type=Path, help="a Markdown file for the tables")
    add("--bout", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.results = options.results or options.runs / "results.csv"
    options.only = options.only or [name for name in CONTESTANTS if name != "autogluon" or options.autogluon]
    return options


def compete(arenas: Sequence[Arena], options: argparse.Namespace) -> list[Cell]:
    """Return a cell for each set and contestant."""
    bouts = [(arena, name) for arena in arenas for name in options.only]
    with ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(lambda bout: _bout(*bout, options.epochs, options), bouts))
        if options.equal_seconds:
            lesson2 = {
                bout[0]: result for bout, result in zip(bouts, results, strict=True) if bout[1] == "lesson2"
            }
            epochs = [
                _as_long(lesson2[arena], result, options.epochs)
                for (arena, _), result in zip(bouts, results, strict=True)
            ]
            results = list(pool.map(lambda bout, most: _bout(*bout, most, options), bouts, epochs))
    by_cell: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for (arena, name), result in zip(bouts, results, strict=True):
        by_cell.setdefault((arena.pictures, arena.shots, name), []).append(result)
    return [
        Cell(*cell, [row["right"] for row in rows], [row["seconds"] for row in rows])
        for cell, rows in by_cell.items()
    ]


def _as_long(lesson2: dict[str, Any], rival: dict[str, Any], epochs: int) -> int:
    """Return in how many epochs a rival takes the seconds of lesson2."""
    return max(1, round(epochs * lesson2["seconds"] / rival["seconds"]))


def _bout(arena: Arena, contestant: str, epochs: int, options: argparse.Namespace) -> dict[str, Any]:
    """Return which hidden pictures a contestant has right, and its seconds; it is run if it was not yet."""
    name = f"{arena.folder.name}-{contestant}-{options.size}"
    name += "" if contestant in WITHOUT_EPOCHS else f"-{epochs}"
    result = read_results(options.results).get(name)
    if result is None:
        run_dir = options.runs / "runs" / name
        shutil.rmtree(run_dir, ignore_errors=True)
        how = (arena.seed, options.size, epochs, str(run_dir), options.autogluon)
        bout = Bout(contestant, str(arena.folder), *how)
        command = [sys.executable, __file__, str(options.runs), "--bout", json.dumps(asdict(bout))]
        done = subprocess.run(
            command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **ONE_THREAD}
        )
        result = json.loads(done.stdout.splitlines()[-1])
        add_result(options.results, name, result)
        # The snapshots of all runs would take some 20 GB.
        shutil.rmtree(run_dir, ignore_errors=True)
    print(f"{name}: {np.mean(result['right']):.3f} in {result['seconds']:.0f} s", flush=True)
    return result


def read_results(file: Path) -> dict[str, dict[str, Any]]:
    """Return what is known of each bout, by its name."""
    if not file.exists():
        return {}
    # Another bout may be writing its line.
    with _RESULTS, file.open(newline="", encoding="utf-8") as lines:
        return {
            name: {"right": [int(each) for each in right], "seconds": float(seconds)}
            for name, seconds, right in csv.reader(lines)
        }


def add_result(file: Path, name: str, result: dict[str, Any]) -> None:
    """Add a line to the results: name, seconds, and a digit for each hidden picture."""
    right = "".join(str(int(each)) for each in result["right"])
    file.parent.mkdir(parents=True, exist_ok=True)
    with _RESULTS, file.open("a", encoding="utf-8") as lines:
        lines.write(f"{name},{result['seconds']:.1f},{right}\n")


def _arenas(options: argparse.Namespace) -> list[Arena]:
    pictures = {name: make_set(name, options.runs / "sets") for name in options.sets}
    pictures |= {folder.name: folder for folder in options.folders}
    return [
        Arena(
            name, shots, seed, hide(folder, options.runs / "arenas" / f"{name}-{shots}-{seed}", seed, shots)
        )
        # The short ones first, and all sets by one seed before the next.
        for shots in sorted(options.shots, reverse=True)
        for seed in range(options.seeds)
        for name, folder in pictures.items()
    ]


def hide(pictures: Path, arena: Path, seed: int, shots: str) -> Path:
    """Copy a part of each class to `hidden` in a folder, and the rest, or some of it, to `train`.

    With few pictures, the same are hidden as with all.
    """
    if arena.exists():
        return arena
    part = arena.with_name(f".{arena.name}")
    shutil.rmtree(part, ignore_errors=True)
    generator = np.random.default_rng(seed)
    for label in sorted(path for path in pictures.iterdir() if path.is_dir()):
        files = [path for path in sorted(label.iterdir()) if path.suffix in (".jpg", ".jpeg", ".png")]
        shuffled = [files[number] for number in generator.permutation(len(files))]
        cut = round(HIDDEN * len(files))
        most = SHOTS if shots == "few" else len(files)
        _copy(shuffled[:cut], part / "hidden" / label.name)
        _copy(shuffled[cut : cut + most], part / "train" / label.name)
    part.replace(arena)
    return arena


def _copy(files: Sequence[Path], folder: Path) -> None:
    folder.mkdir(parents=True)
    for file in files:
        shutil.copy(file, folder)


if __name__ == "__main__":
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    main()
