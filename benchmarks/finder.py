"""Are found learning rates good ones? `python benchmarks/finder.py RUNS` asks the head's accuracy.

On each set and seed the head is trained at the rate that is found, and at half, twice and ten times that.
Then every method reads the same curves, beside fastai's own function where that is installed; and flat losses
with noise show how often a rate is suggested that nothing supports. RUNS keeps the sets and the runs, and
finished sweeps are not done again. Some ten minutes on two cores; `--write docs/finder.md` keeps the tables.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
from sets import SETS, make_set

from imageclf.analysis.lr_curve import Curve, Method, smooth, suggest, sweep, trimmed

FACTORS = (0.5, 2.0, 10.0)
METHODS = get_args(Method)
NAMES_OF_FASTAI = {"valley": "valley", "slide": "slide", "steepest": "steep", "minimum": "minimum"}
# Steps and smoothing of callbacks/lr_finder=default and fastai2.
PRESETS = {"default": (30, 0.8), "fastai2": (100, 0.98)}
HEAD_ONLY = ("schedule=lesson2", *(f"~schedule.phases.{name}" for name in ("augment", "finetune", "bigger")))
CHEAP = ("~callbacks.report", "~callbacks.fit_verdict", "~callbacks.tta", "data.num_workers=0")


def main() -> None:
    """Run the benchmark; the last line of the output is one of JSON with all figures."""
    options = _options()
    searches = [
        search
        for name in options.sets
        for seed in range(options.seeds)
        for search in _searches(name, seed, options)
    ]
    figures = {
        "accuracy": accuracies(searches),
        "methods": [row for search in searches for row in by_method(search)],
        "noise": [noise_row(*preset, spread) for preset in PRESETS.items() for spread in (0.02, 0.05, 0.1)],
    }
    if options.write:
        options.write.write_text(page(figures, options.seeds), encoding="utf-8")
    print(json.dumps(figures))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("runs", type=Path, help="folder of sets, cache and runs; finished sweeps in it are kept")
    add(
        "--sets",
        nargs="+",
        choices=tuple(SETS),
        default=["stamps", "stickers", "textures", "digits", "fashion"],
    )
    add("--seeds", type=int, default=5, help="each has a split of its own")
    add("--size", type=int, default=96)
    add("--write", type=Path, help="a Markdown file for the tables")
    add("--overrides", nargs="+", default=[], help="of imageclf-train")
    return parser.parse_args()


def _searches(name: str, seed: int, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the searches on a set, one a preset; the first with the accuracies at its rate and around it."""
    found = _sweep(f"{name}-{seed}-found", name, seed, ("callbacks/lr_finder=default,fastai2",), options)
    for preset, run_dir in zip(PRESETS, found, strict=True):
        frame = pd.read_csv(run_dir / "lr_find" / "head.csv")
        curve = Curve(*(frame[column].tolist() for column in ("lr", "loss", "smoothed")))
        yield {"set": name, "seed": seed, "preset": preset, "curve": curve} | _scores(
            preset, run_dir, options
        )


def _scores(preset: str, found: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Return the accuracies of the head at the rate that the default found, and around it, by factor."""
    if preset != "default":
        return {}
    lr = json.loads((found / "lr_find" / "head.json").read_text(encoding="utf-8"))["suggestion"]
    if lr is None:
        return {"lr": None}
    name, seed = found.parent.name.split("-")[:2]
    rates = ",".join(f"{factor * lr:.3e}" for factor in FACTORS)
    around = _sweep(f"{name}-{seed}-around", name, int(seed), (f"schedule.phases.head.lr={rates}",), options)
    accuracies = [_accuracy(run_dir) for run_dir in (found, *around)]
    return {
        "lr": lr,
        "pictures": accuracies[0][1],
        "scores": dict(zip((1.0, *FACTORS), accuracies, strict=True)),
    }


def _accuracy(run_dir: Path) -> tuple[float, int]:
    """Return the accuracy of the last epoch and the number of pictures that it was measured on."""
    summary = json.loads((run_dir / "summary.json").read_text(encoding="utf-8"))
    return float(pd.read_csv(run_dir / "metrics.csv")["val/acc"].iloc[-1]), int(summary["num_valid"])


def _sweep(
    folder: str, name: str, seed: int, overrides: Sequence[str], options: argparse.Namespace
) -> list[Path]:
    """Return the run directories of a finished sweep over the head's phase, in order."""
    sweep_dir = options.runs / folder
    data = (f"data={make_set(name, options.runs / 'sets')}", f"data.valid_pct={SETS[name].valid_pct}")
    if not (sweep_dir / "done").exists():
        command = [
            *(sys.executable, "-m", "imageclf.train", "-m", *HEAD_ONLY, *CHEAP, *data, *overrides),
            *(f"seed={seed}", f"data.split_seed={seed}", f"data.size={options.size}", "data.resize=squish"),
            *("data.batch_size=32", f"data.cache_dir={options.runs / 'cache'}"),
            *(f"hydra.sweep.dir={sweep_dir}", "hydra.sweep.subdir=${hydra.job.num}", *options.overrides),
        ]
        subprocess.run(command, check=True, capture_output=True)
        (sweep_dir / "done").touch()
    return sorted(path.parent for path in sweep_dir.glob("*/summary.json"))


def accuracies(searches: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row a set: the mean accuracies by factor, and whether the rate found is among the best.

    The standard error is that of the best of the means, over all held-out pictures.
    """
    scored = [each for each in searches if each.get("lr")]
    return [_accuracy_row([each for each in scored if each["set"] == name]) for name in _sets_of(scored)]


def _sets_of(searches: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(each["set"] for each in searches))


def _accuracy_row(group: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    factors = (1.0, *FACTORS)
    means = {factor: float(np.mean([each["scores"][factor][0] for each in group])) for factor in factors}
    best, pictures = max(means.values()), sum(each["pictures"] for each in group)
    error = float(np.sqrt(best * (1 - best) / pictures))
    return {
        "set": group[0]["set"],
        "lr": [each["lr"] for each in group],
        "accuracy": means,
        "error": error,
        "within": means[1.0] >= best - error,
    }


def by_method(search: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield for each method what it reads off a curve, and what fastai's function of that name does."""
    steps, beta = PRESETS[search["preset"]]
    for method in METHODS:
        ours = suggest(search["curve"], steps, beta, method).lr
        theirs = of_fastai(trimmed(search["curve"], steps), steps, method)
        place = {key: search[key] for key in ("preset", "set", "seed")}
        yield place | {"method": method, "lr": ours, "fastai": theirs}


def of_fastai(curve: Curve, num_steps: int, method: Method) -> float | None:
    """Return what fastai reads off a trimmed curve; None where it is not installed.

    Its slide has its window and threshold for 100 steps over 8 decades; here it gets those of the curve.
    """
    if find_spec("fastai") is None:
        return None
    import torch
    from fastai.callback import schedule

    scale = np.log10(curve.lrs[1] / curve.lrs[0]) / (8 / 99)
    fitted = {"lr_diff": round(15 / scale), "thresh": 0.005 * scale} if method == "slide" else {}
    arguments = torch.tensor(curve.lrs), torch.tensor(curve.smoothed), num_steps
    return float(getattr(schedule, NAMES_OF_FASTAI[method])(*arguments, **fitted)[0])


def noise_row(
    preset: str, of_search: tuple[int, float], spread: float, searches: int = 500
) -> dict[str, Any]:
    """Return the share of searches of a flat loss with noise that suggest a rate, and without the test."""
    steps, beta = of_search
    generator = np.random.default_rng(0)
    flat = [generator.normal(2, spread, steps).tolist() for _ in range(searches)]
    curves = [Curve(sweep(1e-5, 1, steps), losses, smooth(losses, beta)) for losses in flat]
    now = float(np.mean([suggest(curve, steps, beta).lr is not None for curve in curves]))
    fell = [trimmed(curve, steps).smoothed for curve in curves]
    before = float(np.mean([each[0] - min(each) > 0.01 * each[0] for each in fell]))
    return {"preset": preset, "spread": spread, "now": now, "without": before}


def page(figures: Mapping[str, Any], seeds: int) -> str:
    """Return the tables as Markdown."""
    return f"""# How good are found learning rates?

Written by `python benchmarks/finder.py RUNS --write docs/finder.md`: {seeds} seeds a set, each with a
split of its own; tf_efficientnet_lite0, 96 pixels, batches of 32, the first phase of `schedule=lesson2`.

## The head's accuracy at the rate found, and around it

The rates are those of `callbacks/lr_finder=default`, the accuracies means over the seeds. "Yes" means that
the accuracy at the rate found is at most one standard error below the best; the standard error is that of the
best accuracy, over all held-out pictures.

{_accuracy_table(figures["accuracy"])}

## All methods on the same curves

How many of the searches bring a suggestion, the median of the suggestions, and the median and the extremes of
their ratios to what fastai's own function reads off the same trimmed curve.

{_method_table(figures["methods"])}

## Flat losses with noise

The share of 500 searches that suggest a rate although the loss is flat (2, with normal noise). A suggestion
needs a fall of 3.2 standard errors of the smoothed loss; "without the test" counts every fall of more than a
hundredth.

{_noise_table(figures["noise"])}
"""


def _accuracy_table(rows: Sequence[Mapping[str, Any]]) -> str:
    head = ("set", "rates found", "at the rate", *(f"{factor:g} x" for factor in FACTORS), "among the best")
    lines = []
    for row in rows:
        scores = [f"{row['accuracy'][factor]:.3f}" for factor in (1.0, *FACTORS)]
        found = f"{min(row['lr']):.1e} to {max(row['lr']):.1e}"
        lines.append((row["set"], found, *scores, "yes" if row["within"] else "no"))
    return _markdown(head, lines)


def _method_table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for (preset, method), group in pd.DataFrame(rows).groupby(["preset", "method"], sort=False):
        found = group.dropna(subset=["lr"])
        ratios = (found["lr"] / found["fastai"].astype(float)).dropna()
        ratio = (
            f"{ratios.median():.3g} ({ratios.min():.3g} to {ratios.max():.3g})"
            if len(ratios)
            else "not installed"
        )
        lines.append((preset, method, f"{len(found)} of {len(group)}", f"{found['lr'].median():.1e}", ratio))
    return _markdown(("callbacks/lr_finder", "method", "suggestions", "median", "ratio to fastai's"), lines)


def _noise_table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        (row["preset"], f"{row['spread']:g}", f"{row['without']:.1%}", f"{row['now']:.1%}") for row in rows
    ]
    return _markdown(("callbacks/lr_finder", "standard deviation", "without the test", "suggestions"), lines)


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


if __name__ == "__main__":
    main()
