"""Further metrics of predictions: torchmetrics' own, or any function of probabilities and labels."""

import logging
import math
import warnings
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torchmetrics import Metric

from imageclf import InputError
from imageclf.model.predictions import Predictions

log = logging.getLogger(__name__)

MetricFunction = Callable[[Tensor, Tensor], Tensor | float]


def further_scores(
    metrics: Mapping[str, MetricFunction],
    predictions: Predictions,
    notice: Callable[[str], None] = log.warning,
) -> dict[str, float]:
    """Return the value of each metric, NaN where it cannot be computed; nothing is kept in the metrics.

    What torchmetrics warns of is not computed either: AUROC would count a class without pictures as 0.

    Args:
        metrics: by name; (probabilities `[N, C]` in 0..1, labels `[N]`) -> scalar.
        predictions: all labelled.
        notice: is told the name of a metric that cannot be computed, and why.
    """
    scores = {}
    for name, metric in metrics.items():
        try:
            scores[name], doubts = _value(metric, predictions)
        # A score beside the training must not end it, whatever a metric raises.
        except Exception as error:
            scores[name], doubts = math.nan, [str(error) or type(error).__name__]
        if doubts or not math.isfinite(scores[name]):
            scores[name] = math.nan
            notice(f"metrics.{name} cannot be computed: {first_line(*doubts, 'it is not finite')}")
    return scores


def check_metric(name: str, metric: MetricFunction, num_classes: int) -> None:
    """Try a metric on made-up predictions.

    Raises:
        InputError: it takes no probabilities and labels of several classes, or gives no single number.
    """
    labels = torch.arange(8) % num_classes
    probabilities = torch.nn.functional.one_hot(labels.flip(0), num_classes).float()
    made_up = (probabilities + 1) / (num_classes + 1)
    try:
        _value(metric, Predictions(torch.arange(8), labels, made_up))
    # Whatever a metric raises: it is not one for this.
    except Exception as error:
        raise InputError(
            f"metrics.{name} is no metric of probabilities [N, C] and labels [N]: "
            f"{first_line(str(error), type(error).__name__)}"
        ) from error


def first_line(*texts: str) -> str:
    r"""Return the first line of the first text that has one.

    >>> first_line("", "no positive samples\nat all")
    'no positive samples'
    """
    return next(line.strip() for text in texts for line in text.splitlines() if line.strip())


def _value(metric: MetricFunction, predictions: Predictions) -> tuple[float, list[str]]:
    """Return a metric's value and what it warned of."""
    # What rounding lifts above 1 torchmetrics would take for logits.
    probabilities = predictions.probabilities.clamp(0, 1)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            # Called, a metric looks at these predictions alone; its compute() would ask all ranks.
            value = torch.as_tensor(metric(probabilities, predictions.labels))
    finally:
        if isinstance(metric, Metric):
            metric.reset()
    if value.numel() != 1:
        raise ValueError("it does not give one number")
    return float(value), [str(each.message) for each in caught if issubclass(each.category, UserWarning)]
