"""The questions that a run asks its task."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor, nn

from imageclf import InputError
from imageclf.analysis.extremes import Answer
from imageclf.tasks.kinds import Kind, Targets

Read = TypeVar("Read")


class Task(Protocol):
    """What a label is, from the text in a table to a loss, a score and a prediction.

    A frozen object; every method is a function of its arguments. `probabilities` are `[N, C]`; where targets
    are numbers, they are the predicted ones, in the unit of the CSV.
    """

    @property
    def name(self) -> str:
        """Return what `task=NAME` takes."""

    @property
    def kind(self) -> Kind:
        """Return what its targets are made of, classes or numbers."""

    @property
    def may_be_blank(self) -> bool:
        """Return whether a picture to train on may have no label."""

    @property
    def is_exclusive(self) -> bool:
        """Return whether each picture has exactly one class, as a confusion matrix needs."""

    @property
    def activation(self) -> str:
        """Return the call on logits `[N, C]` of torch that makes probabilities, as code."""

    @property
    def limits(self) -> str:
        """Return what a model of the task cannot do, as words of a sentence."""

    def read(self, source: Callable[..., Read]) -> Read:
        """Return what a source of pictures reads, told of the task if it is not the usual one.

        Raises:
            InputError: the source knows no other task than the usual one.
        """

    def is_spread(self, columns: pd.DataFrame) -> bool:
        """Return whether columns of a CSV, text without any that is spoken for, are a label together."""

    def label_texts(self, columns: pd.DataFrame) -> "pd.Series[str]":
        """Return the label of each row in the form that tables keep, from its column or columns of a CSV.

        Raises:
            InputError: the task cannot read them.
        """

    def names_in(self, labels: Sequence[str]) -> list[str]:
        """Return the classes that labels of a table name, each once, in the order of appearance."""

    def relabelled(self, labels: Sequence[str], names: Mapping[str, str]) -> list[str]:
        """Return labels of a table with new names for the classes that they name; others are taken away."""

    def targets(
        self, labels: Sequence[str], classes: Sequence[str], may_be_unknown: NDArray[np.bool_] | None = None
    ) -> Targets:
        """Return the targets of labels of a table `[N]`; each names only these classes, or is unknown.

        `may_be_unknown` is where a blank label is an unknown one, `[N]`; None: nowhere.
        """

    def counts(self, targets: Targets, num_classes: int) -> NDArray[np.int64]:
        """Return how many pictures have each class, `[C]`; unknown targets do not count."""

    def balance(self, counts: Mapping[str, int], pictures: int) -> NDArray[np.float64]:
        """Return the weight of each class in the loss that makes up for its rarity, `[C]`.

        `counts` are the pictures of each class, all above 0; `pictures` is how many are trained on.
        """

    def strata(self, targets: Targets) -> NDArray[np.int64]:
        """Return a number of each picture `[N]`, whose kinds oversampling makes equally frequent."""

    def measured(self, targets: Targets, classes: Sequence[str]) -> Self:
        """Return the task with what it learns from the targets of the training pictures.

        Raises:
            InputError: there is nothing to learn in them.
        """

    def answers(self, num_classes: int) -> float:
        """Return among how many answers guessing chooses: its loss is the logarithm."""

    def check_loss(self, loss: nn.Module, num_classes: int) -> None:
        """Refuse a loss that learns something else.

        Raises:
            InputError: it does.
        """

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the probabilities of logits `[N, C]`."""

    def logits(self, probabilities: Tensor) -> Tensor:
        """Return values whose `probabilities` are these, such as a mean."""

    def right(self, probabilities: NDArray[np.floating], targets: Targets) -> NDArray[np.bool_]:
        """Return which pictures are wholly right, `[N]`."""

    def losses(self, probabilities: NDArray[np.floating], targets: Targets) -> NDArray[np.float64]:
        """Return the loss of each picture, in nats, `[N]`."""

    def example(self, number: int, num_classes: int) -> tuple[Tensor, Tensor]:
        """Return made-up probabilities and targets of so many pictures, to try a metric on."""

    def fitted(self, probabilities: NDArray[np.floating], targets: Targets) -> Self:
        """Return the task with what it learns from predictions of held-out pictures."""

    def crossfitted(self, probabilities: NDArray[np.floating], targets: Targets) -> dict[str, float]:
        """Return by name what `fitted` is worth on pictures that it has not learned from."""

    def joint_scores(
        self, predictions: pd.DataFrame, classes: Sequence[str], parts: NDArray[np.integer]
    ) -> dict[str, float]:
        """Return scores by name of predictions that several runs made, each of the pictures that it held out.

        `parts` says which run predicted each picture, `[N]`.
        """

    def joint_facts(self, predictions: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
        """Return what `fitted` learns from such predictions, as summary.json keeps it; nothing if nothing."""

    def facts(self) -> dict[str, Any]:
        """Return what summary.json keeps: the name of any other task than the usual, and what was learned."""

    def restored(self, summary: Mapping[str, Any], num_classes: int) -> Self:
        """Return the task with the facts of a summary.

        Raises:
            InputError: they are damaged.
        """

    def decide(self, probabilities: NDArray[np.floating], classes: Sequence[str]) -> list[str]:
        """Return what is predicted of each picture, as the text of a label."""

    def submitted(self, predictions: Sequence[str], sample: Sequence[str]) -> list[str]:
        """Return predictions as a submission writes them, whose sample has such labels; none without one."""

    def summary(self, predictions: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
        """Return a row per predicted class of a table of predictions, as `class_summary` does."""

    def most_wrong(self, predictions: pd.DataFrame, classes: Sequence[str], most: int | None) -> list[Answer]:
        """Return up to so many wrong answers in a table of predictions, the surest first; None: all."""

    def most_right(self, predictions: pd.DataFrame, classes: Sequence[str], most: int | None) -> list[Answer]:
        """Return up to so many right answers, the surest first; None: all."""

    def averaged(self, others: "Sequence[Task]") -> Self:
        """Return the task of the mean of predictions, with the mean of the values by which the tasks decide.

        Raises:
            InputError: another task is among them.
        """

    def refuse(self, feature: str) -> None:
        """Refuse a feature that knows classes alone, if the task is of something else.

        Raises:
            InputError: it is.
        """


def read_as(task: Task, source: Callable[..., Read], what: str) -> Read:
    """Return what a source reads, told of a task.

    Raises:
        InputError: its `read` has no argument `task`.
    """
    if "task" not in inspect.signature(source).parameters:
        raise InputError(
            f"task={task.name} needs {what}, which a folder of each class cannot hold: give data=PATH.csv; "
            "`read` of a source of your own takes the argument `task`"
        )
    return source(task=task)


def check_same(task: Task, others: Sequence[Task]) -> None:
    """Refuse tasks whose predictions cannot be averaged.

    Raises:
        InputError: there is one of another name.
    """
    other = next((each.name for each in others if each.name != task.name), None)
    if other is not None:
        raise InputError(f"a run of task={other} cannot be averaged with one of task={task.name}")
