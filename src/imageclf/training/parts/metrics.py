"""Build the metrics that score each validation next to val/loss and val/acc; find which way is better."""

import logging
import warnings

from imageclf import InputError
from imageclf.analysis.runs_table import less_is_better
from imageclf.configs import instantiate, locate_target
from imageclf.configs.keys import OWN_KEYS
from imageclf.evaluation.candidates import MIXED
from imageclf.model.metrics import MetricFunction, check_metric
from imageclf.tasks import Task
from imageclf.training.run_config import Node, RunConfig

log = logging.getLogger(__name__)

# Scores of every run: keys of summary.json that a sweeper may optimize.
_ENDS = ("", "_tta", *(f"_{name}" for name in MIXED))
OWN = (
    *(f"val/{name}{end}" for end in _ENDS for name in ("acc", "loss")),
    "val/acc_best",
    "val/loss_best",
    "val/acc_best_crossfit",
    "test/acc",
    "test/loss",
)
# Scores of an epoch that are no metrics nodes.
_OF_EPOCH = ("val/acc", "val/loss", "train/loss")
_OF_VIEWS = ("val/acc_tta", "val/loss_tta", "val/acc_tta_gain")
# More classes than any metric asks for, while their number is not known yet.
PLENTY = 1000


def score_names(config: RunConfig) -> tuple[str, ...]:
    """Return the names of all scores that a training config may optimise."""
    further = (f"{split}/{name}" for split in ("val", "test") for name in config.metrics)
    return (*_without_accuracy(OWN, config.task), *further)


def epoch_scores(config: RunConfig) -> tuple[str, ...]:
    """Return the names of the scores whose best epoch a checkpoint may be kept of."""
    views = _OF_VIEWS if "tta" in config.callbacks else ()
    plain = ("train/loss_plain", "val/loss_error") if "fit_verdict" in config.callbacks else ()
    own = _without_accuracy((*_OF_EPOCH, *views, *plain), config.task)
    return (*own, *(f"val/{name}" for name in config.metrics))


def _without_accuracy(names: tuple[str, ...], task: Task) -> tuple[str, ...]:
    return tuple(name for name in names if task.kind.has_accuracy or "/acc" not in name)


def lower_is_better(score: str, config: RunConfig) -> bool | None:
    """Return whether lower values of a score are better; None where its metric does not tell."""
    name = score.partition("/")[2]
    node = config.metrics.get(name)
    if node is None:
        return less_is_better(score)
    higher = node.get("higher_is_better")
    # Most classes of torchmetrics have it; those that choose another class by their task do not.
    if higher is None:
        higher = getattr(locate_target(node, f"metrics.{name}"), "higher_is_better", None)
    if not isinstance(higher, bool):
        higher = getattr(_build(name, node, PLENTY, config.task), "higher_is_better", None)
    return not higher if isinstance(higher, bool) else None


def check_scores(config: RunConfig) -> None:
    """Try the metrics, and refuse to look for the best of a score that does not exist or has no direction."""
    build_metrics(config)
    best = config.callbacks.get("checkpoint", {}).get("best")
    _check_score("optimized_metric", config.optimized_metric, score_names(config), config)
    _check_score("callbacks.checkpoint.best", best, epoch_scores(config), config)


def _check_score(key: str, score: str | None, names: tuple[str, ...], config: RunConfig) -> None:
    if score is None:
        return
    if score not in names:
        raise InputError(f"{key}={score}: give one of {', '.join(names)}, or null")
    if lower_is_better(score, config) is None:
        node = f"metrics.{score.partition('/')[2]}"
        raise InputError(
            f"{key}={score}: {node} does not say whether more or less of it is better; "
            f"give {node}.higher_is_better=true or false"
        )


def build_metrics(config: RunConfig, num_classes: int = PLENTY) -> dict[str, MetricFunction]:
    """Build the metrics, and try each on made-up predictions.

    A node with `min_classes` is left out, with a warning, where there are fewer classes.

    Raises:
        InputError: a node is no metric of several classes, has a name that the program uses, or is the
            optimized one and left out.
    """
    metrics: dict[str, MetricFunction] = {}
    for name, node in config.metrics.items():
        if f"val/{name}" in OWN:
            raise InputError(f"metrics.{name}: val/{name} is what the program scores; choose another name")
        if num_classes < node.get("min_classes", 0):
            _leave_out(name, node["min_classes"], num_classes, config.optimized_metric)
            continue
        metrics[name] = _build(name, node, num_classes, config.task)
    return metrics


def _build(name: str, node: Node, num_classes: int, task: Task) -> MetricFunction:
    values = {key: value for key, value in node.items() if key not in OWN_KEYS["metrics"]}
    with warnings.catch_warnings():
        # About buffers that grow with each batch; here there is one batch.
        warnings.simplefilter("ignore")
        # Those of several labels call it num_labels.
        sizes = {"num_classes": num_classes, "num_labels": num_classes}
        metric: MetricFunction = instantiate(values, f"metrics.{name}", **sizes)
        check_metric(name, metric, num_classes, task)
    return metric


def _leave_out(name: str, min_classes: int, num_classes: int, optimized: str | None) -> None:
    reason = f"metrics.{name} asks for {min_classes} classes (min_classes), and there are {num_classes}"
    if optimized in (f"val/{name}", f"test/{name}"):
        raise InputError(f"optimized_metric={optimized}: {reason}; choose another metric")
    log.warning("%s: it is left out", reason)
