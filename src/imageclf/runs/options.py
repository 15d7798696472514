"""The keys of a training config that are ours, and what they take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class TrainOptions:
    """The top level of a training config; the groups are checked by what they build.

    Args:
        metrics: nodes that score each validation, by name; their keys are a metric's, and `min_classes`.
        experiment: name of the experiment, or None.
        task_name: folder of the runs below runs/; None: the experiment's name, or train.
        tags: words to find a run by.
        extras: what is done besides, see `Extras`.
        seed: of the head's first weights, order, draws and dropout.
        optimized_metric: what the main returns to a sweeper, a key of summary.json.
        ckpt_path: auto: go on from the run directory's newest whole checkpoint; a path: start from it.
        resume_sweep: with -m, the folder of a sweep to go on with; None: a new one.
    """

    data: Mapping[str, Any]
    transforms: Mapping[str, Any]
    model: Mapping[str, Any]
    schedule: Mapping[str, Any]
    callbacks: Mapping[str, Any]
    metrics: Mapping[str, Any]
    analysis: Mapping[str, Any]
    trainer: Mapping[str, Any]
    logger: Mapping[str, Any] | None
    experiment: str | None
    task_name: str | None
    tags: Sequence[str]
    extras: Mapping[str, Any]
    seed: int
    optimized_metric: str | None
    ckpt_path: str | None
    resume_sweep: str | None


@dataclass(frozen=True)
class Extras:
    """What is done besides training.

    Args:
        print_config: show the composed config as a tree, and write it to config_tree.log.
        enforce_tags: refuse to train without tags.
    """

    print_config: bool
    enforce_tags: bool


@dataclass(frozen=True)
class LrFindOptions(TrainOptions):
    """The top level of imageclf-lr-find: that of a training, and the phase.

    Args:
        phase: name of the phase whose learning rate is searched; None: the first one.
    """

    phase: str | None


@dataclass(frozen=True)
class BatchSizeOptions(TrainOptions):
    """The top level of imageclf-batch-size: that of a training, and where to stop.

    Args:
        limit: the largest number of pictures that is tried.
    """

    limit: int


@dataclass(frozen=True)
class ModelOptions:
    """The model node.

    Args:
        backbone: any timm name.
        weights: hub, packaged, none, or the path of a file.
        drop_path_rate: of the backbone's last block while it trains; None: the architecture's own.
        groups: number of layer groups, the head's among them.
        head: a node that takes in_features and num_classes.
        optimizer: a node that takes parameter groups.
        loss: a node whose module takes logits and labels.
        class_weights: of the loss: none, balanced, sqrt, or a number for each class in class order.
        channels_last: keep convolution weights channels-last.
        compile: backend of torch.compile for the body, such as inductor; None: it is not compiled.
        mixing: a node that mixes training pictures with each other; None: they are not mixed.
    """

    backbone: str
    weights: str
    drop_path_rate: float | None
    groups: int
    head: Mapping[str, Any]
    optimizer: Mapping[str, Any]
    loss: Mapping[str, Any]
    class_weights: Literal["none", "balanced", "sqrt"] | Sequence[float]
    channels_last: bool
    compile: str | None
    mixing: Mapping[str, Any] | None


@dataclass(frozen=True)
class AnalysisOptions:
    """What is written of a test folder after training.

    Args:
        submission: probabilities: a column per class, as for dog breeds; labels: the most probable
            class; None: no submission.csv.
    """

    submission: Literal["probabilities", "labels"] | None
