"""A search for the best values of some keys, as its folder tells it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any


@dataclass(frozen=True)
class SearchRecord:
    """A search, finished or not.

    Args:
        name: of its folder.
        metric: the score that it optimizes.
        maximizes: whether more of it is better.
        states: of each trial: complete, pruned, fail or running.
        scores: of each trial; of one that was pruned or failed the last that is known, or None.
        importances: of each key that is searched, largest first; empty while there are too few trials.
    """

    name: str
    metric: str
    maximizes: bool
    states: Sequence[str]
    scores: Sequence[float | None]
    importances: Mapping[str, float]

    @property
    def best(self) -> list[tuple[int, float]]:
        """The trials that were finished, each with the best score up to it."""
        done = [
            (number, score)
            for number, (state, score) in enumerate(zip(self.states, self.scores, strict=True))
            if state == "complete" and score is not None
        ]
        best = accumulate((score for _, score in done), max if self.maximizes else min)
        return list(zip((number for number, _ in done), best, strict=True))


def search_record(name: str, results: Mapping[str, Any]) -> SearchRecord:
    """Return the record of a search from its optimization_results.yaml, which anyone may have written.

    `name` is that of its folder.

    Raises:
        KeyError, TypeError, ValueError: it holds something else.
    """
    trials = list(results["trials"])
    scores = [trial["value"] for trial in trials]
    importances = {str(key): float(value) for key, value in results["importances"].items()}
    return SearchRecord(
        name=name,
        metric=str(results["metric"]),
        maximizes=results["direction"] == "maximize",
        states=[str(trial["state"]) for trial in trials],
        scores=[None if score is None else float(score) for score in scores],
        importances=dict(sorted(importances.items(), key=lambda pair: -pair[1])),
    )
