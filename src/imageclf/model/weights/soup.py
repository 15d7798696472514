"""A greedy soup: the average of those weights that each improve it on validation."""

from collections.abc import Callable, Mapping
from math import isnan
from typing import Generic, NamedTuple, Protocol, TypeVar

from imageclf.model.weights.averaging import State, blend


class Score(NamedTuple):
    """The scores of weights on validation: accuracy in 0..1, NaN of numbers, and mean loss."""

    accuracy: float
    loss: float

    @property
    def order(self) -> tuple[float, float]:
        """A key that sorts the most accurate first, and ties by loss; by loss alone without an accuracy."""
        # Ties are common with 51 pictures.
        return 0.0 if isnan(self.accuracy) else -self.accuracy, self.loss


class Ordered(Protocol):
    """Whatever says how good weights are: a Score, or predictions with theirs."""

    @property
    def order(self) -> tuple[float, float]:
        """Return a key that sorts the best first."""


Judged = TypeVar("Judged", bound=Ordered)


class Soup(NamedTuple, Generic[Judged]):
    """Averaged weights, the names of those averaged in order, and the score of the average."""

    members: tuple[str, ...]
    state: State
    score: Judged


def greedy_soup(
    scores: Mapping[str, Judged], load: Callable[[str], State], judge: Callable[[State], Judged]
) -> Soup[Judged]:
    """Return the running average of weights, added best first, and only if that improves its score.

    `scores` are those of each alone, of at least one.

    Source: recipe 1 of Model soups, https://arxiv.org/abs/2203.05482.
    """
    best, *others = sorted(scores, key=lambda name: scores[name].order)
    soup = Soup((best,), load(best), scores[best])
    for name in others:
        state = blend(soup.state, load(name), len(soup.members))
        score = judge(state)
        if score.order < soup.score.order:
            soup = Soup((*soup.members, name), state, score)
    return soup
