"""A greedy soup: the average of those weights that each make it better on validation."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from imageclf.model.weights.averaging import State, blend


class Score(NamedTuple):
    """How weights do on validation.

    Args:
        accuracy: 0 to 1.
        loss: mean over the pictures.
    """

    accuracy: float
    loss: float

    @property
    def order(self) -> tuple[float, float]:
        """A key that sorts the most accurate first; among equals, the one with the lowest loss."""
        # With 51 pictures ties are common, and the loss says which is surer.
        return -self.accuracy, self.loss


class Soup(NamedTuple):
    """Averaged weights.

    Args:
        members: whose weights are in it, in the order in which they came.
        state: the average.
        score: of the average.
    """

    members: tuple[str, ...]
    state: State
    score: Score


def greedy_soup(
    scores: Mapping[str, Score], load: Callable[[str], State], judge: Callable[[State], Score]
) -> Soup:
    """Return the running average of weights, best ones first, to which each is added only if that is better.

    Better is more accurate, or as accurate with a lower loss.

    Args:
        scores: of each alone, at least one.
        load: returns weights by name.
        judge: returns the score of weights.

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
