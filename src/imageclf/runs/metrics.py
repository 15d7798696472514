"""From the metrics nodes to what scores each validation besides val/loss and val/acc."""

import logging
import warnings
from typing import Any

from imageclf import InputError
from imageclf.configs import instantiate
from imageclf.model import check_metric
from imageclf.model.metrics import MetricFunction

log = logging.getLogger(__name__)

# Scores that every run has: keys of summary.json that a sweeper may ask for.
_ENDS = ("", "_tta", "_ensemble", "_average", "_average_bn", "_soup", "_soup_bn", "_ema")
OWN = (
    *(f"val/{name}{end}" for end in _ENDS for name in ("acc", "loss")),
    "val/acc_best",
    "test/acc",
    "test/loss",
)
# More classes than any metric asks for, while their number is not known yet.
PLENTY = 1000


def score_names(config: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of all scores that a training config may optimise."""
    named = [name for name, node in config["metrics"].items() if node is not None]
    return (*OWN, *(f"{split}/{name}" for split in ("val", "test") for name in named))


def build_metrics(config: dict[str, Any], num_classes: int = PLENTY) -> dict[str, MetricFunction]:
    """Build the metrics, and try each on made-up predictions.

    A node's `min_classes` leaves it out where there are fewer classes, with a notice.

    Args:
        config: of a training.
        num_classes: C.

    Raises:
        InputError: a node is no metric of several classes, bears a name that the program uses, or is
            the optimized one and left out.
    """
    metrics: dict[str, MetricFunction] = {}
    for name, node in config["metrics"].items():
        if f"val/{name}" in OWN:
            raise InputError(f"metrics.{name}: val/{name} is what the program scores; choose another name")
        if node is None:
            continue
        if num_classes < node.get("min_classes", 0):
            _leave_out(name, node["min_classes"], num_classes, config["optimized_metric"])
            continue
        metrics[name] = _build(name, node, num_classes)
    return metrics


def _build(name: str, node: dict[str, Any], num_classes: int) -> MetricFunction:
    values = {key: value for key, value in node.items() if key != "min_classes"}
    with warnings.catch_warnings():
        # Of buffers that grow from batch to batch; here there is one batch.
        warnings.simplefilter("ignore")
        metric: MetricFunction = instantiate(values, f"metrics.{name}", num_classes=num_classes)
        check_metric(name, metric, num_classes)
    return metric


def _leave_out(name: str, min_classes: int, num_classes: int, optimized: str | None) -> None:
    reason = f"metrics.{name} asks for {min_classes} classes (min_classes), and there are {num_classes}"
    if optimized in (f"val/{name}", f"test/{name}"):
        raise InputError(f"optimized_metric={optimized}: {reason}; choose another metric")
    log.warning("%s: it is left out", reason)
