"""Further metrics of predictions: those of torchmetrics, or any function of probabilities and labels."""

import logging
import math
import warnings
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torchmetrics import MeanSquaredError, Metric, SpearmanCorrCoef
from torchmetrics.classification import MulticlassConfusionMatrix, MultilabelFBetaScore

from imageclf import InputError
from imageclf.analysis.scores import explained_variance
from imageclf.model.predictions import Predictions
from imageclf.system.words import first_line
from imageclf.tasks import MULTICLASS, Task

log = logging.getLogger(__name__)

MetricFunction = Callable[[Tensor, Tensor], Tensor | float]


class BalancedAccuracy(MulticlassConfusionMatrix):
    """The mean over the classes of the share of their pictures that is right.

    A class without pictures does not count; the accuracy of torchmetrics counts it as 0 if anything is taken
    for it.

    Source: `sklearn.metrics.balanced_accuracy_score`.
    """

    higher_is_better = True

    def compute(self) -> Tensor:
        """Return it as a scalar."""
        counts = super().compute()
        pictures = counts.sum(dim=1)
        present = pictures > 0
        return (counts.diagonal()[present] / pictures[present]).mean()


class SamplesFBeta(MultilabelFBetaScore):
    """The mean F-beta over the pictures, of several labels; 1 for a picture that has none and gets none.

    Args:
        beta: how much more recall counts than precision.
        num_labels: C.
        threshold: from which probability on a class is predicted.

    Source: `sklearn.metrics.fbeta_score(average="samples", zero_division=1)`.
    """

    higher_is_better = True

    def __init__(self, beta: float, num_labels: int, threshold: float = 0.5) -> None:
        super().__init__(
            beta, num_labels, threshold, average="micro", multidim_average="samplewise", zero_division=1
        )

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Take probabilities `[N, C]` and labels `[N, C]`."""
        # A sample's statistics are over dimensions beyond the labels; there must be one.
        super().update(preds.unsqueeze(-1), target.unsqueeze(-1))

    def compute(self) -> Tensor:
        """Return the mean as a scalar."""
        return super().compute().mean()


def r2_score(predicted: Tensor, truth: Tensor) -> float:
    """Return the share of the variance of numbers that is explained, the mean over the columns.

    That of torchmetrics takes numbers with a sum of squares below 0.0001 for equal ones, and gives 1.

    Source: `sklearn.metrics.r2_score`.
    """
    return float(explained_variance(predicted.double().numpy(), truth.double().numpy()).mean())


class RootMeanSquaredError(MeanSquaredError):
    """The root of the mean squared error, the mean over the columns, of which there are `num_classes`.

    Source: `sklearn.metrics.root_mean_squared_error`.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__(squared=False, num_outputs=num_classes)

    def compute(self) -> Tensor:
        """Return it as a scalar."""
        return super().compute().mean()


class RankCorrelation(SpearmanCorrCoef):
    """Spearman's rank correlation, the mean over the columns, of which there are `num_classes`.

    Source: `scipy.stats.spearmanr`.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_outputs=num_classes)

    def compute(self) -> Tensor:
        """Return it as a scalar."""
        return super().compute().mean()


def further_scores(
    metrics: Mapping[str, MetricFunction],
    predictions: Predictions,
    notice: Callable[[str], None] = log.warning,
) -> dict[str, float]:
    """Return the value of each metric, NaN if it cannot be computed; the metrics keep no state.

    A value with a warning from torchmetrics becomes NaN too: AUROC would count a class without pictures as 0.

    Args:
        metrics: by name; (probabilities `[N, C]` in 0..1, targets of the task, whole numbers) -> scalar; of
            numbers (predicted ones, true ones), `[N]` if there is one column, else `[N, C]`.
        predictions: all labelled.
        notice: receives a sentence about each metric that cannot be computed.
    """
    scores = {}
    for name, metric in metrics.items():
        try:
            scores[name], reasons = _value(metric, predictions)
        # An additional score must not end the training, whatever a metric raises.
        except Exception as error:
            scores[name], reasons = math.nan, [first_line(error)]
        if reasons or not math.isfinite(scores[name]):
            scores[name] = math.nan
            notice(f"metrics.{name} cannot be computed: {[*reasons, 'it is not finite'][0]}")
    return scores


def check_metric(name: str, metric: MetricFunction, num_classes: int, task: Task = MULTICLASS) -> None:
    """Try a metric on made-up predictions.

    Raises:
        InputError: it does not accept probabilities and targets of the task, or returns no single number.
    """
    made_up, labels = task.example(8, num_classes)
    try:
        _value(metric, Predictions(torch.arange(8), labels, made_up, task))
    # A metric may raise anything.
    except Exception as error:
        shape = "[N]" if labels.ndim == 1 else "[N, C]"
        raise InputError(
            f"metrics.{name} is no metric of probabilities [N, C] and labels {shape}: {first_line(error)}"
        ) from error


def _value(metric: MetricFunction, predictions: Predictions) -> tuple[float, list[str]]:
    """Return a metric's value, and the first line of each of its warnings."""
    given = predictions.task.kind.scored(predictions.probabilities, predictions.labels)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            # A call computes the metric of these predictions alone; compute() would gather from all ranks.
            value = torch.as_tensor(metric(*given))
    finally:
        if isinstance(metric, Metric):
            metric.reset()
    if value.numel() != 1:
        raise ValueError("it does not give one number")
    return float(value), [
        first_line(each.message) for each in caught if isinstance(each.message, UserWarning)
    ]
