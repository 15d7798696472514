"""Train lesson2 with budgets of time on sets of three sizes: how long does each run take?

`python benchmarks/budget.py RUNS --write docs/budget.md` takes some five minutes on one core. Its
seconds are those of the processor, on one thread: on a machine that does other work meanwhile they are what
a quiet one would take. Each run is `imageclf-train` with that clock in place of the wall's.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from sets import SETS, make_set

CHILD = """
import sys, time
time.monotonic = time.process_time
import torch
torch.set_num_threads(1)
import imageclf.launch.start
from imageclf.train import compose_and_train
begun = time.process_time()
try:
    compose_and_train()
finally:
    # It leaves by an exit.
    print("SECONDS", time.process_time() - begun)
"""
"""The processor's clock has to be there before anything reads the wall's."""


class Case(NamedTuple):
    """A budget for a set of pictures.

    Args:
        name: of the set.
        size: pixels a side.
        seconds: the budget.
    """

    name: str
    size: int
    seconds: int


CASES = (
    Case("few-stamps", 64, 30),
    Case("few-stamps", 64, 90),
    Case("stamps", 64, 45),
    Case("many-fashion", 32, 60),
)


def main() -> None:
    """Run the benchmark; the last line of the output is one of JSON with all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", type=Path, help="folder of sets and runs; finished runs in it are kept")
    parser.add_argument("--write", type=Path, help="a Markdown file for the table")
    parser.add_argument("--sets", nargs="+", choices=tuple(SETS), default=[case.name for case in CASES])
    options = parser.parse_args()
    figures = [figures_of(case, options.runs) for case in CASES if case.name in options.sets]
    if options.write:
        options.write.write_text(page(figures), encoding="utf-8")
    print(json.dumps(figures))


def figures_of(case: Case, runs: Path) -> dict[str, Any]:
    """Return what a run with a budget took, and what it did."""
    run_dir = runs / f"{case.name}-{case.size}-{case.seconds}"
    seconds = run_dir / "seconds"
    if not seconds.exists():
        seconds.write_text(_train(case, runs, run_dir), encoding="utf-8")
    phases = pd.read_csv(run_dir / "metrics.csv").groupby("phase", sort=False).size()
    pictures = int((pd.read_csv(run_dir / "split.csv")["split"] == "train").sum())
    took = float(seconds.read_text(encoding="utf-8"))
    found = {"set": case.name, "pictures": pictures, "size": case.size, "budget": case.seconds}
    found |= {"took": round(took, 1), "epochs": " + ".join(map(str, phases))}
    print(json.dumps(found), flush=True)
    return found


def _train(case: Case, runs: Path, run_dir: Path) -> str:
    overrides = [
        "data=folder",
        f"data.root={make_set(case.name, runs / 'sets')}",
        "data.train=.",
        "data.valid=null",
        f"data.valid_pct={SETS[case.name].valid_pct}",
        f"data.size={case.size}",
        f"data.cache_dir={runs / 'cache'}",
        "data.num_workers=0",
        "data.resize=squish",
        "trainer=cpu",
        f"budget={case.seconds}s",
        f"hydra.run.dir={run_dir}",
    ]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *overrides], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    return next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("SECONDS"))


def page(figures: list[dict[str, Any]]) -> str:
    """Return the table as Markdown."""
    lines = [
        "# How well a budget is kept",
        "Written by `python benchmarks/budget.py RUNS --write docs/budget.md`: runs of `schedule=lesson2`",
        "with `budget=SECONDS`, tf_efficientnet_lite0 on one thread of a CPU. The seconds are those of the",
        "processor, from the command's start to its end without imports: reading, probe, training, report.",
        "",
        "| set | pictures | pixels | budget | took | off by | epochs of head + augment + finetune + bigger |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in figures:
        off = row["took"] / row["budget"] - 1
        cells = [row["set"], row["pictures"], row["size"], f"{row['budget']} s", f"{row['took']:.0f} s"]
        lines.append(f"| {' | '.join(map(str, cells))} | {off:+.0%} | {row['epochs']} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
