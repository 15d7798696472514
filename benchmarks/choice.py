"""Which candidate should a run report? `python benchmarks/choice.py RUNS` asks pictures that no run has seen.

Each run trains by `schedule=lesson2`, as shipped, on all pictures of a set that are not hidden, or on 10 of
each class, a fifth of which is held out for validation. Each of its candidates then predicts the validation
pictures and the hidden ones, which shows what each way to choose is worth. Half an hour on two cores; RUNS
keeps a file of each run, and finished ones are not done again. `--write docs/choice.md` keeps the table.
"""

import argparse
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sets import SETS, make_set
from tournament import HIDDEN, SHOTS, VALID_PCT, hide

import imageclf
from imageclf.analysis.crossfit import PictureScores, clear_best, most_accurate
from imageclf.analysis.scores import picture_losses, right_ones

Row = Mapping[str, Any]

RULES: dict[str, Callable[[Row], str]] = {
    "most accurate (`best`)": lambda row: _chosen(row, most_accurate),
    "clearly best (`clear_best`)": lambda row: _chosen(row, clear_best),
    "final weights (`final`)": lambda row: "final",
    "average": lambda row: "average",
    "ensemble": lambda row: "ensemble",
    "best on the hidden pictures": lambda row: max(row["hidden"], key=row["hidden"].get),
}
"""Each returns the name of a candidate; the last one cannot be had."""


def main() -> None:
    """Train and compare; the last line of the output is one of JSON with the mean accuracy of each rule."""
    options = _options()
    torch.set_num_threads(options.threads)
    rows = [
        row_of(name, shots, seed, options)
        for seed in range(options.seeds)
        for shots in ("few", "all")
        for name in options.sets
    ]
    if options.write:
        options.write.write_text(page(rows, options), encoding="utf-8")
    print(json.dumps({name: round(float(_accuracies(rows, name).mean()), 4) for name in RULES}))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("runs", type=Path, help="folder of sets and results; finished ones in it are kept")
    add("--sets", nargs="+", choices=tuple(SETS), default=[name for name in SETS if "-" not in name])
    add("--seeds", type=int, default=2, help="each hides other pictures")
    add("--size", type=int, default=64)
    add("--threads", type=int, default=1)
    add("--overrides", nargs="+", default=[], help="of imageclf-train")
    add("--write", type=Path, help="a Markdown file for the table")
    return parser.parse_args()


def row_of(name: str, shots: str, seed: int, options: argparse.Namespace) -> Row:
    """Return what the candidates of a run are worth; it is trained if it was not yet."""
    title = f"{name}-{shots}-{seed}"
    file = options.runs / "results" / f"{title}.json"
    if not file.exists():
        pictures = make_set(name, options.runs / "sets")
        arena = hide(pictures, options.runs / "arenas" / title, seed, shots)
        row = {"set": name, "shots": shots, **measured(arena, seed, options)}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(row), encoding="utf-8")
        print(f"{title}: {json.dumps(row['hidden'])}", flush=True)
    found: Row = json.loads(file.read_text(encoding="utf-8"))
    return found


def measured(arena: Path, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Return the scores of each candidate on each validation picture, and its accuracy on the hidden ones."""
    run_dir = options.runs / "runs" / arena.name
    shutil.rmtree(run_dir, ignore_errors=True)
    imageclf.train(
        *("data=folder", f"data.root={arena}", "data.train=train", "data.valid=null"),
        *(f"data.valid_pct={VALID_PCT}", f"data.split_seed={seed}", f"seed={seed}"),
        *(f"data.size={options.size}", "data.resize=squish", "data.num_workers=0"),
        *(f"data.cache_dir={options.runs / 'cache'}", "~callbacks.report", *options.overrides),
        schedule="lesson2",
        run_dir=str(run_dir),
    )
    valid = list(pd.read_csv(run_dir / "predictions" / "valid.csv")["path"])
    hidden = sorted((arena / "hidden").glob("*/*"))
    names = json.loads((run_dir / "snapshots" / "candidates.json").read_text(encoding="utf-8"))["candidates"]
    row: dict[str, Any] = {"right": {}, "losses": {}, "hidden": {}}
    for name in names:
        run = imageclf.load(run_dir, weights=name)
        right, losses = scores(run, [Path(path) for path in valid])
        row["right"][name], row["losses"][name] = right.tolist(), losses.tolist()
        row["hidden"][name] = float(scores(run, hidden)[0].mean())
    # The weights of all runs would take some 5 GB.
    shutil.rmtree(run_dir)
    return row


def scores(run: imageclf.Run, pictures: Sequence[Path]) -> PictureScores:
    """Return how a run classifies pictures whose folders are their classes."""
    found = run.predict(pictures)
    labels = np.array([run.classes.index(path.parent.name) for path in pictures])
    return PictureScores(right_ones(found.probabilities, labels), picture_losses(found.probabilities, labels))


def _chosen(row: Row, choose: Callable[[PictureScores], int]) -> str:
    names = list(row["right"])
    right, losses = (np.array([row[key][name] for name in names]) for key in ("right", "losses"))
    return names[choose(PictureScores(right, losses))]


def _accuracies(rows: Sequence[Row], rule: str) -> NDArray[np.float64]:
    """Return the accuracy on the hidden pictures of what a rule chooses, a number for each run."""
    return np.array([row["hidden"][RULES[rule](row)] for row in rows])


def page(rows: Sequence[Row], options: argparse.Namespace) -> str:
    """Return the tables as Markdown."""
    gaps = _accuracies(rows, "clearly best (`clear_best`)") - _accuracies(rows, "most accurate (`best`)")
    error = gaps.std(ddof=1) / np.sqrt(len(gaps))
    return f"""# Which candidate should a run report?

Written by `python benchmarks/choice.py RUNS --write docs/choice.md`: {len(rows)} runs of
`schedule=lesson2` at {options.size} pixels, by {options.seeds} seeds. Of each class {HIDDEN:.0%} of the
pictures are hidden; a run has all others, or {SHOTS} of each class, and holds out {VALID_PCT:.0%} of them for
validation.

A run has about eight candidates: the final weights, a snapshot of each cycle, their average, greedy soup and
ensemble. The most accurate of them on a few dozen validation pictures is mostly the one that was lucky. So a
run reports its final weights, unless another candidate is better by more than two standard errors of the
difference on the same pictures: `callbacks.report.model=clear_best`, the default. `best` takes the most
accurate one, and `final` the final weights.

Accuracy on the hidden pictures, mean of {options.seeds} runs. `clear_best` minus `best` is
{gaps.mean():+.3f} ± {error:.3f}:

{_table(rows)}
"""


def _table(rows: Sequence[Row]) -> str:
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["set"], row["shots"]), []).append(row)
    head = ["set", "training pictures", "validation pictures", *RULES]
    cells = [[*_title(group), *_means(group)] for group in groups.values()]
    cells.append(["mean", "", "", *_means(rows)])
    return "\n".join(f"| {' | '.join(each)} |" for each in (head, ["---"] * len(head), *cells))


def _title(group: Sequence[Row]) -> list[str]:
    number = len(group[0]["right"]["final"])
    return [group[0]["set"], "all" if group[0]["shots"] == "all" else f"{SHOTS} of a class", str(number)]


def _means(rows: Sequence[Row]) -> list[str]:
    return [f"{_accuracies(rows, rule).mean():.3f}" for rule in RULES]


if __name__ == "__main__":
    main()
