"""Tables of tournament.py: accuracies, paired differences, ranks, regret."""

import argparse
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

import numpy as np


class Cell(NamedTuple):
    """What a contestant did on a set.

    Args:
        pictures: name of the set.
        shots: all or few.
        contestant: its name.
        right: of each seed, 0 or 1 for each hidden picture.
        seconds: of each seed.
    """

    pictures: str
    shots: str
    contestant: str
    right: Sequence[Sequence[int]]
    seconds: Sequence[float]

    @property
    def accuracy(self) -> float:
        """Return the mean over seeds of the accuracy on the hidden pictures."""
        return float(np.mean([np.mean(each) for each in self.right]))


class Difference(NamedTuple):
    """By how much the first of two contestants is more accurate, and the standard error of that."""

    mean: float
    error: float


def difference(first: Cell, second: Cell) -> Difference:
    """Return the paired difference of accuracies on the same hidden pictures.

    The pictures of all seeds count as independent; those that two seeds hide are not quite.

    >>> one = Cell("set", "all", "one", [[1, 1, 1, 0]], [1.0])
    >>> other = Cell("set", "all", "other", [[1, 0, 1, 0]], [1.0])
    >>> difference(one, other)
    Difference(mean=0.25, error=0.25)
    """
    gaps = np.concatenate([np.subtract(a, b) for a, b in zip(first.right, second.right, strict=True)])
    return Difference(float(gaps.mean()), float(gaps.std(ddof=1) / np.sqrt(len(gaps))))


def ranks(accuracies: Mapping[str, float]) -> dict[str, float]:
    """Return the rank of each, 1 the best; equals share the mean of their ranks.

    >>> ranks({"a": 0.9, "b": 0.8, "c": 0.9})
    {'a': 1.5, 'b': 3.0, 'c': 1.5}
    """
    values = np.array(list(accuracies.values()))
    better = (values[None, :] > values[:, None]).sum(axis=1)
    equal = (values[None, :] == values[:, None]).sum(axis=1)
    return dict(zip(accuracies, (better + (equal + 1) / 2).tolist(), strict=True))


def overall(cells: Sequence[Cell]) -> dict[str, dict[str, float]]:
    """Return of each contestant, over all sets: mean error, mean rank, mean regret and mean seconds.

    The regret is by how much the best contestant of a set is more accurate.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for by_name in _by_set(cells).values():
        accuracies = {name: cell.accuracy for name, cell in by_name.items()}
        best, ranked = max(accuracies.values()), ranks(accuracies)
        for name, cell in by_name.items():
            row = found.setdefault(name, {"error": [], "rank": [], "regret": [], "seconds": []})
            row["error"].append(1 - accuracies[name])
            row["rank"].append(ranked[name])
            row["regret"].append(best - accuracies[name])
            row["seconds"].append(float(np.mean(cell.seconds)))
    return {name: {key: float(np.mean(each)) for key, each in row.items()} for name, row in found.items()}


def page(cells: Sequence[Cell], sets: Mapping[str, Any], options: argparse.Namespace) -> str:
    """Return all tables as Markdown, with what they were made with.

    Args:
        cells: of every set and contestant.
        sets: by name, with `source` and `like_imagenet`.
        options: of the command.
    """
    by_set = _by_set(cells)
    names = list(dict.fromkeys(cell.contestant for cell in cells))
    measure = "equal seconds" if options.equal_seconds else "as many pictures seen"
    lines = [
        "# A tournament on hidden pictures",
        f"Written by `python benchmarks/tournament.py RUNS --write docs/tournament.md`, {measure}.",
        f"Accuracy on pictures that nobody chose on, mean of {options.seeds} seeds; {options.size} pixels,",
        "tf_efficientnet_lite0 with the same weights for all; rivals in batches of 32, or of less where",
        "lesson2 takes less. Seconds are of CPU, with one thread, imports not counted.",
        f"{os.cpu_count()} CPU cores, Python {platform.python_version()}, {_versions()}.",
        "",
        "## Accuracy",
        *_table(["set", "pictures", "like ImageNet", *names]),
    ]
    for (name, shots), by_name in by_set.items():
        kind = ("yes" if sets[name].like_imagenet else "no") if name in sets else "?"
        best = max(cell.accuracy for cell in by_name.values())
        shown = [_marked(by_name[each].accuracy, best) if each in by_name else "" for each in names]
        lines.append(_row([name, shots, kind, *shown]))
    lines += ["", "## Overall", *_table(["contestant", "mean error", "mean rank", "regret", "seconds"])]
    for name, row in sorted(overall(cells).items(), key=lambda item: item[1]["rank"]):
        figures = [
            f"{row['error']:.3f}",
            f"{row['rank']:.2f}",
            f"{row['regret']:.3f}",
            f"{row['seconds']:.0f}",
        ]
        lines.append(_row([name, *figures]))
    if "lesson2" in names:
        lines += ["", "## lesson2 minus each, on the same pictures, ± one standard error"]
        rivals = [name for name in names if name != "lesson2"]
        lines += _table(["set", "pictures", *rivals])
        for (name, shots), by_name in by_set.items():
            gaps = [difference(by_name["lesson2"], by_name[each]) for each in rivals]
            lines.append(_row([name, shots, *(f"{gap.mean:+.3f} ± {gap.error:.3f}" for gap in gaps)]))
    return "\n".join(lines) + "\n"


def _by_set(cells: Sequence[Cell]) -> dict[tuple[str, str], dict[str, Cell]]:
    found: dict[tuple[str, str], dict[str, Cell]] = {}
    for cell in cells:
        found.setdefault((cell.pictures, cell.shots), {})[cell.contestant] = cell
    return found


def _versions() -> str:
    found = []
    for name in ("torch", "timm", "lightning", "fastai", "scikit-learn"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


def _marked(value: float, best: float) -> str:
    return f"**{value:.3f}**" if value == best else f"{value:.3f}"


def _table(titles: Sequence[str]) -> list[str]:
    return [_row(titles), "|---" * len(titles) + "|"]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
