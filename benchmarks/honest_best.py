"""Is the accuracy of the best candidate what it is on new pictures? `python benchmarks/honest_best.py CACHE`.

Each split of a set has training pictures, validation pictures and a hidden rest. A linear layer on a
backbone's features is trained in five cycles, which give the candidates of a run: snapshots, average, moving
average, ensemble and greedy soup. One is chosen on the validation pictures, as a run does, and both of its
figures, `val/acc_best` and `val/acc_best_crossfit`, are held against its accuracy on the hidden pictures.
Then small networks are really trained, by imageclf-train, and held against hidden pictures in the same way.
Some twenty minutes on two cores; `--write docs/honest-best.md` keeps the tables.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import NormalDist

import numpy as np
import torch
from honest_linear import CYCLES, SHARES, Outcome, features_of, one_split, parts
from honest_runs import Figures, figures_of_run
from numpy.typing import NDArray
from sets import SETS, make_set

from imageclf.analysis.crossfit import NUM_SPLITS


def main() -> None:
    """Run the benchmark; the last line of the output is one of JSON with all figures."""
    options = _options()
    torch.set_num_threads(options.threads)
    figures: dict[str, dict[str, float]] = {}
    for name in options.sets:
        folder = make_set(name, options.cache)
        features, labels = features_of(folder, options.size, *options.backbone)
        outcomes = [one_split(*parts(features, labels, seed), seed) for seed in range(options.splits)]
        figures[name] = {"validation": round(SHARES[1] * len(labels))} | summary(outcomes)
        print(f"{name}: {json.dumps(figures[name])}", flush=True)
    pictures = make_set(options.runs_on, options.cache)
    runs = [
        figures_of_run(pictures, options.cache / "runs", seed, options.overrides)
        for seed in range(options.runs)
    ]
    figures["runs"] = biases(runs)
    if options.write:
        options.write.write_text(page(figures, options), encoding="utf-8")
    print(json.dumps(figures))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("cache", type=Path, help="folder of the sets")
    add("--sets", nargs="+", choices=tuple(SETS), default=["stamps", "digits", "glyphs"])
    add("--splits", type=int, default=200)
    add("--size", type=int, default=96)
    add(
        "--backbone",
        nargs=2,
        default=("tf_efficientnet_lite0", "packaged"),
        help="timm name, and model.weights",
    )
    add("--threads", type=int, default=2)
    add("--runs", type=int, default=24, help="real ones; finished ones in CACHE are not done again")
    add("--runs-on", choices=tuple(SETS), default="digits")
    add("--overrides", nargs="+", default=[], help="of imageclf-train")
    add("--write", type=Path, help="a Markdown file for the table")
    return parser.parse_args()


def summary(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Return means over the splits; a bias is that of a figure from the accuracy on the hidden pictures."""
    columns = dict(zip(Outcome._fields, np.array(outcomes, dtype=float).T, strict=True))
    figures = {name: float(columns[name].mean()) for name in ("hidden", "best_holds", "crossfit_holds")}
    return figures | {
        key: value
        for name in ("best", "crossfit", "with_soup")
        for key, value in _bias_of(name, columns[name] - columns["hidden"]).items()
    }


def biases(runs: Sequence[Figures]) -> dict[str, float]:
    """Return how far the two figures of runs lie above their accuracy on hidden pictures, and that itself."""
    hidden, best, crossfit = np.array(runs).T
    both = _bias_of("best", best - hidden) | _bias_of("crossfit", crossfit - hidden)
    return both | {"hidden": float(hidden.mean())}


def _bias_of(name: str, bias: NDArray[np.float64]) -> dict[str, float]:
    error = bias.std(ddof=1) / np.sqrt(len(bias))
    return {f"{name}_bias": float(bias.mean()), f"{name}_error": float(error)}


def page(figures: Mapping[str, Mapping[str, float]], options: argparse.Namespace) -> str:
    """Return the tables as Markdown."""
    runs = figures["runs"]
    return f"""# How honest is the accuracy of the best candidate?

Written by `python benchmarks/honest_best.py CACHE --write docs/honest-best.md`, with {options.splits} random
splits a set.

At its end, a run chooses among its candidates by the validation pictures, and `val/acc_best` is measured on
these same pictures. Of candidates that are about equally good, that picks the one that was lucky, so the
figure is too high. For `val/acc_best_crossfit`, one half of the pictures chooses and the other half scores,
both ways, over {NUM_SPLITS} random halvings.

To see how far off each figure is, {1 - sum(SHARES):.0%} of the pictures of each set were hidden from the
training and from the choice. The candidates are those of a run: {len(CYCLES)} snapshots, their average,
greedy soup and ensemble, and a moving average; here of a linear layer on the features of
{options.backbone[0]}, so that hundreds of trainings take minutes. Means over the splits, ± one
standard error:

{_table({name: each for name, each in figures.items() if name != "runs"})}

An interval "holds" where the accuracy of the chosen candidate on the hidden pictures lies in it. That
accuracy is measured on few pictures too, so that even a perfect 95 % interval would hold it in only
{_coverage():.0%} of the splits.

A greedy soup is itself made by the validation pictures. In its place, the halves choose among the mixtures
that were tried on the way to it, which needs no further prediction. The last column shows the figure if the
soup were taken as it is.

## Real runs

{options.runs} runs of imageclf-train on {options.runs_on}, half of whose pictures were hidden: at 32 pixels,
two cycles of the head and three of the whole network. The mean accuracy on the hidden pictures is
{runs["hidden"]:.3f}. `val/acc_best` differs from it by {_bias(runs, "best")}, and
`val/acc_best_crossfit` by {_bias(runs, "crossfit")}.
"""


def _table(figures: Mapping[str, Mapping[str, float]]) -> str:
    head = (
        *("set", "validation pictures", "accuracy on hidden pictures", "`val/acc_best` above it"),
        *("`val/acc_best_crossfit` above it", "its interval holds (that of `val/acc_best`)"),
        "with the soup as it is",
    )
    rows = [
        (
            *(name, f"{each['validation']}", f"{each['hidden']:.3f}", _bias(each, "best")),
            *(_bias(each, "crossfit"), f"{each['crossfit_holds']:.0%} ({each['best_holds']:.0%})"),
            _bias(each, "with_soup"),
        )
        for name, each in figures.items()
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def _coverage() -> float:
    """Return how often the 95 % interval of one share of pictures holds the accuracy on the hidden ones."""
    spread = np.sqrt(1 + SHARES[1] / (1 - sum(SHARES)))
    return 2 * NormalDist().cdf(NormalDist().inv_cdf(0.975) / spread) - 1


def _bias(figures: Mapping[str, float], name: str) -> str:
    return f"{figures[f'{name}_bias']:+.4f} ± {figures[f'{name}_error']:.4f}"


if __name__ == "__main__":
    main()
