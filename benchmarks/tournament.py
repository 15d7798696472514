"""A tournament on hidden pictures: lesson2 and minimal as shipped, against what else one would use.

`python benchmarks/tournament.py RUNS` trains the same backbone with the same weights on six sets, with all
their pictures and with 10 of each class, by three seeds: some three hours on two cores. RUNS keeps the
pictures and a file of each result; finished ones are not done again. Of each class 0.4 are hidden: no
contestant sees them until its one model is chosen. `--folders` adds folders of classes of your own, `--write
docs/tournament.md` keeps the tables. `--equal-seconds` gives each rival as many epochs as take the seconds of
lesson2, which means something only on a machine that does nothing else.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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
CONTESTANTS = ("lesson2", "minimal", "probe", "fastai", "fastai-found", "fastai-frozen-bn", "timm")
OWN = ("lesson2", "minimal")
WITHOUT_EPOCHS = (*OWN, "probe")


@dataclass(frozen=True)
class Bout:
    """What one contestant does.

    Args:
        contestant: one of CONTESTANTS.
        folder: holds `train` and `hidden`, with a folder per class each.
        seed: of the split into training and validation pictures, and of the training.
        size: pixels a side.
        batch_size: pictures a step.
        epochs: of rivals, with augmentation.
        run_dir: for files of the training.
    """

    contestant: str
    folder: str
    seed: int
    size: int
    batch_size: int
    epochs: int
    run_dir: str


def main() -> None:
    """Hold the tournament; the last line of the output is one of JSON with the mean accuracy of each cell."""
    options = _options()
    if options.bout:
        # A process of its own, so that none pays for the imports, threads or memory of another.
        from tournament_contestants import result_of

        print(json.dumps(result_of(Bout(**json.loads(options.bout)))))
        return
    pictures = {name: make_set(name, options.runs / "sets") for name in options.sets}
    pictures |= {folder.name: folder for folder in options.folders}
    cells = [
        cell
        for name, folder in pictures.items()
        for shots in options.shots
        for cell in held(name, folder, shots, options)
    ]
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
    add("--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    add("--seeds", type=int, default=3, help="each hides other pictures")
    add("--size", type=int, default=96)
    add("--batch-size", type=int, default=32, help="of the rivals; ours choose their own")
    add("--epochs", type=int, default=EPOCHS)
    add("--equal-seconds", action="store_true")
    add("--write", type=Path, help="a Markdown file for the tables")
    add("--bout", help=argparse.SUPPRESS)
    return parser.parse_args()


def held(name: str, folder: Path, shots: str, options: argparse.Namespace) -> list[Cell]:
    """Return a cell for each contestant, on one set."""
    results: dict[str, list[dict[str, Any]]] = {contestant: [] for contestant in options.only}
    for seed in range(options.seeds):
        arena = hide(folder, options.runs / "arenas" / f"{name}-{shots}-{seed}", seed, shots)
        for contestant in options.only:
            lesson2 = results["lesson2"][-1] if contestant not in OWN and "lesson2" in results else None
            found = _bout(contestant, arena, seed, options, options.epochs)
            if options.equal_seconds and lesson2 and contestant not in WITHOUT_EPOCHS:
                epochs = max(1, round(options.epochs * lesson2["seconds"] / found["seconds"]))
                found = _bout(contestant, arena, seed, options, epochs)
            results[contestant].append(found)
            accuracy = np.mean(found["right"])
            print(f"{arena.name}, {contestant}: {accuracy:.3f} in {found['seconds']:.0f} s", flush=True)
    return [
        Cell(name, shots, each, [row["right"] for row in rows], [row["seconds"] for row in rows])
        for each, rows in results.items()
    ]


def _bout(
    contestant: str, arena: Path, seed: int, options: argparse.Namespace, epochs: int
) -> dict[str, Any]:
    """Return which hidden pictures a contestant has right, and its seconds; it is run if it was not yet."""
    name = f"{arena.name}-{contestant}-{options.size}"
    name += "" if contestant in WITHOUT_EPOCHS else f"-{epochs}"
    file = options.runs / "results" / f"{name}.json"
    if not file.exists():
        run_dir = str(options.runs / "runs" / name)
        bout = Bout(contestant, str(arena), seed, options.size, options.batch_size, epochs, run_dir)
        command = [sys.executable, __file__, str(options.runs), "--bout", json.dumps(asdict(bout))]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(done.stdout.splitlines()[-1], encoding="utf-8")
    result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return result


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
