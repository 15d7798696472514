"""The keys of a training config that are ours, and what they take."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from imageclf import InputError
from imageclf.schedule import RunState, Schedule
from imageclf.system.signals import Notice


class Offered(NamedTuple):
    """Arguments that a callback with parameters of these names receives; a config may not set them.

    Args:
        state: what the run has learned so far.
        notice: the signals that the run has received; None: it does not handle them.
        lower_is_better: whether a lower score of `checkpoint.best` is better.
    """

    schedule: Schedule
    run_dir: Path
    seed: int
    state: RunState
    notice: Notice | None
    lower_is_better: bool


@dataclass(frozen=True)
class Extras:
    """What is done in addition to training.

    conf/train.yaml explains each key.
    """

    print_config: bool
    enforce_tags: bool


@dataclass(frozen=True)
class ModelOptions:
    """The model node.

    conf/model/shared.yaml explains each key. A backbone of one's own gives features `[B, F]`, a head takes
    in_features and num_classes, an optimizer parameter groups, and a loss logits and labels.
    """

    backbone: str | Mapping[str, Any]
    weights: Literal["hub", "packaged", "none"] | str  # the refusal of another type lists these words
    drop_path_rate: float | None
    groups: int
    head: Mapping[str, Any] | None
    optimizer: Mapping[str, Any]
    loss: Mapping[str, Any]
    class_weights: Literal["none", "balanced", "sqrt"] | Sequence[float]
    channels_last: bool | Literal["auto"]
    compile: str | None
    mixing: Mapping[str, Any] | None


@dataclass(frozen=True)
class ClusterOptions:
    """The cluster node of cluster=slurm. Resources are those of each job of an array.

    conf/cluster/slurm.yaml explains each key.
    """

    nodes: int
    tasks_per_node: int
    gpus_per_node: int | None
    cpus_per_task: int | None
    mem_gb: int | None
    minutes: int
    signal_seconds: int
    max_num_timeout: int
    partition: str | None
    account: str | None
    array_parallelism: int
    setup: Sequence[str]
    shared_paths: Sequence[str]
    wait: bool
    print: bool

    def __post_init__(self) -> None:
        """Refuse a signal before the start; each number by itself is checked by its range."""
        if self.signal_seconds >= 60 * self.minutes:
            raise InputError(
                f"cluster.signal_seconds={self.signal_seconds}: with cluster.minutes={self.minutes} a job "
                "would be told to save as soon as it starts; give fewer seconds or more minutes (SLURM looks "
                "at its clock once a minute, so that the signal may also come 60 seconds earlier)"
            )


@dataclass(frozen=True)
class AnalysisOptions:
    """What is written of a test folder after training.

    conf/analysis/default.yaml explains each key.
    """

    submission: Literal["probabilities", "labels"] | None
    # Runs of earlier versions have none.
    sample: str | None = None
