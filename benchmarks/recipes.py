"""Run lesson2 and minimal as they are on small sets of pictures: what does each step bring, does any harm?

A dip is by how much the accuracy falls in the first epoch of a phase, below the last one of the phase before.

`python benchmarks/recipes.py RUNS` takes about an hour on two cores. RUNS keeps the sets, a cache and the
runs; finished ones are not done again, so recipes that have changed need a new folder.
`--write docs/recipes.md` keeps the table, and `--before FILE` beside it the figures that an earlier version
of the package printed as its last line. Of the data only root, split, size, resizing and batch size are
given; what costs time and changes no weight is off. Seconds count only if the machine does nothing else.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

import pandas as pd
from sets import SETS, SMALL, make_set

RECIPES = ("lesson2", "minimal")
STEPS = {
    "head": "the head alone",
    "augment": "+ augmentation",
    "finetune": "+ unfreezing",
    "bigger": "+ bigger pictures",
}
"""Phases of the recipes, by what a table calls them."""
AFTER = {"tta": "+ TTA", "ensemble": "ensemble", "average": "average", "soup": "soup", "best": "best"}
"""What follows the fit, each beside the final weights."""
TOLERANCE = 0.01

Row = dict[str, float]


def main() -> None:
    """Run the benchmark; the last line of the output is one of JSON with all figures."""
    options = _options()
    figures: dict[str, Any] = {}
    for recipe in options.recipes:
        figures[recipe] = {}
        for name in options.sets:
            rows = [scores(one_run(recipe, name, seed, options)) for seed in range(options.seeds)]
            figures[recipe][name] = summary(rows)
            print(f"{recipe}, {name}: {json.dumps(figures[recipe][name])}", flush=True)
    before = json.loads(options.before.read_text(encoding="utf-8")) if options.before else {}
    if options.write:
        options.write.parent.mkdir(parents=True, exist_ok=True)
        options.write.write_text(page(figures, options, before), encoding="utf-8")
    print(json.dumps(figures))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("runs", type=Path, help="folder of sets, cache and runs; finished runs in it are kept")
    add("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    add("--sets", nargs="+", choices=tuple(SETS), default=list(SMALL))
    add("--seeds", type=int, default=3, help="each has a split of its own")
    add("--size", type=int, default=96)
    add("--batch-size", default="auto")
    add("--write", type=Path, help="a Markdown file for the table")
    add("--before", type=Path, help="figures of an earlier version, as JSON")
    add("--overrides", nargs="+", default=[], help="of imageclf-train, such as other learning rates")
    return parser.parse_args()


def one_run(recipe: str, name: str, seed: int, options: argparse.Namespace) -> Path:
    """Return the directory of a finished run, which is trained if it is not there."""
    run_dir = options.runs / f"{recipe}-{name}-{options.size}-{seed}"
    if (run_dir / "summary.json").exists():
        return Path(run_dir)
    overrides = [
        f"schedule={recipe}",
        "data=folder",
        f"data.root={make_set(name, options.runs / 'sets')}",
        "data.train=.",
        "data.valid=null",
        f"data.valid_pct={SETS[name].valid_pct}",
        f"data.split_seed={seed}",
        f"seed={seed}",
        f"data.size={options.size}",
        f"data.batch_size={options.batch_size}",
        f"data.cache_dir={options.runs / 'cache'}",
        "data.num_workers=0",
        "data.resize=squish",
        f"hydra.run.dir={run_dir}",
        # Where it was cut short; a fresh start otherwise.
        "ckpt_path=auto",
        "~callbacks.report",
        "~callbacks.fit_verdict",
        "callbacks.tta.when=end",
    ]
    command = [sys.executable, "-m", "imageclf.train", *overrides, *options.overrides]
    subprocess.run(command, check=True, capture_output=True)
    return Path(run_dir)


def scores(run_dir: Path) -> Row:
    """Return validation accuracies of a run: at each phase's end, and of what followed the fit."""
    epochs = pd.read_csv(run_dir / "metrics.csv")
    results = json.loads((run_dir / "summary.json").read_text(encoding="utf-8"))
    ends = epochs.groupby("phase")["val/acc"].last()
    row = {phase: float(ends[phase]) for phase in STEPS if phase in ends}
    row |= {name: float(results[f"val/acc_{name}"]) for name in AFTER}
    steps = float(len(pd.read_csv(run_dir / "plan.csv")))
    row |= {"final": float(results["val/acc"]), "seconds": float(results["seconds"]), "steps": steps}
    return row | dips(epochs)


def dips(epochs: pd.DataFrame) -> Row:
    """Return, for each phase but the first, how far its first epoch is below the last one before it.

    Args:
        epochs: metrics.csv.
    """
    by_phase = epochs.groupby("phase", sort=False)["val/acc"]
    starts, ends = by_phase.first(), by_phase.last()
    return {f"dip/{after}": float(ends[before] - starts[after]) for before, after in pairwise(ends.index)}


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the means over seeds, and whether the final weights are at most 0.01 below the head's phase."""
    means: dict[str, Any] = {name: round(mean(row[name] for row in rows), 4) for name in rows[0]}
    falls = [value for name, value in means.items() if name.startswith("dip/")]
    safe = bool(means["final"] >= means["head"] - TOLERANCE)
    return means | {"seeds": len(rows), "dip": max([0.0, *falls]), "safe": safe}


def page(
    figures: Mapping[str, Mapping[str, Mapping[str, Any]]],
    options: argparse.Namespace,
    before: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> str:
    """Return the tables as Markdown, with what they were made with.

    Args:
        figures: `summary` of each set by recipe.
        options: of the command.
        before: those of an earlier version.
    """
    packages = ("torch", "timm", "lightning")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    sizes = f"{options.size} pixels, `data.batch_size={options.batch_size}`, tf_efficientnet_lite0"
    some = "" if _has_all(options) else f": {', '.join(options.sets)}"
    lines = [
        f"# What each step of the recipes brings{some}",
        f"Written by `python benchmarks/recipes.py RUNS {_typed(options)}`: validation accuracy,",
        f"the mean of {options.seeds} seeds, each with a split of its own; {sizes}, `data.resize=squish`.",
        f"{os.cpu_count()} CPU cores, Python {platform.python_version()}, {versions}.",
        "A recipe counts as safe if its final accuracy is at most 0.01 below that of its head phase.",
        "The dip is the largest fall from a phase's last epoch to the first one of the next phase.",
        "The seconds can be compared only if the machine did nothing else meanwhile.",
        "`soup` and `best` are selected on the very pictures that they are scored on.",
        "A set holds out 50 to 200 pictures, so that a difference of 0.02 may well be chance.",
    ]
    for recipe, by_set in figures.items():
        lines += ["", f"## schedule={recipe}", *_table(by_set)]
        if recipe in before:
            lines += ["", f"### schedule={recipe}, in an earlier version", *_table(before[recipe])]
    lines += ["", "## The sets", "| set | from | like ImageNet |", "|---|---|---|"]
    named = [(name, SETS[name]) for name in options.sets]
    lines += [f"| {name} | {one.source} | {'yes' if one.like_imagenet else 'no'} |" for name, one in named]
    return "\n".join(lines) + "\n"


def _has_all(options: argparse.Namespace) -> bool:
    return set(options.sets) == set(SMALL)


def _typed(options: argparse.Namespace) -> str:
    """Return the options that make the same figures."""
    sets = [] if _has_all(options) else ["--sets", *options.sets]
    recipes = [] if set(options.recipes) == set(RECIPES) else ["--recipes", *options.recipes]
    before = [] if options.before is None else ["--before", "FILE"]
    return " ".join([*recipes, *sets, "--size", str(options.size), *before, "--write", "PAGE"])


def _table(by_set: Mapping[str, Mapping[str, Any]]) -> list[str]:
    columns = {**STEPS, **AFTER, "dip": "dip"}
    columns = {name: title for name, title in columns.items() if all(name in row for row in by_set.values())}
    titles = ["set", *columns.values(), "safe", "steps", "seconds"]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for name, row in by_set.items():
        spent = [f"{row['steps']:.0f}", f"{row['seconds']:.0f}"]
        cells = [*(f"{row[column]:.3f}" for column in columns), "yes" if row["safe"] else "no", *spent]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


if __name__ == "__main__":
    main()
