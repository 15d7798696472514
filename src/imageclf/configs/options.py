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
        schedule: of the run.
        run_dir: of the run.
        seed: of the run.
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

    Args:
        print_config: print the composed config as a tree; config_tree.log has it in any case.
        enforce_tags: refuse to train without tags.
    """

    print_config: bool
    enforce_tags: bool


@dataclass(frozen=True)
class ModelOptions:
    """The model node.

    Args:
        backbone: any timm name, or a node that gives features `[B, F]`.
        weights: hub, packaged, none, or the path of a file or of a run.
        drop_path_rate: of the backbone's last block while it trains; None: the architecture's own.
        groups: number of layer groups, the head's among them.
        head: a node that takes in_features and num_classes; None: the last layer of a backbone of one's own.
        optimizer: a node that takes parameter groups.
        loss: a node whose module takes logits and labels.
        class_weights: of the loss: none, balanced, sqrt, or a number for each class in class order.
        channels_last: keep convolution weights and pictures channels-last; auto: see `model.layout`.
        compile: backend of torch.compile for the body, such as inductor; None: it is not compiled.
        mixing: a node that mixes training pictures with each other; None: they are not mixed.
    """

    backbone: str | Mapping[str, Any]
    weights: str
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

    Args:
        nodes: of a job; `trainer.num_nodes` is the same.
        tasks_per_node: ranks on each; `trainer.devices` is the same.
        gpus_per_node: None: no GPUs are asked for.
        cpus_per_task: None: as many as the cluster gives.
        mem_gb: memory of a node; None: as much as the cluster gives.
        minutes: time limit.
        signal_seconds: how long before the time limit a run gets a signal.
        max_num_timeout: how often a job that reached its time limit is put back into the queue.
        partition: None: the cluster's default.
        account: None: the user's default.
        array_parallelism: jobs that run at a time.
        setup: lines of shell before the training.
        shared_paths: folders that compute nodes see, on any file system.
        wait: whether the command waits for its jobs.
        print: write the sbatch script instead of submitting.
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

    Args:
        submission: probabilities: a column per class, as for dog breeds; labels: the most probable
            class; None: the form of `sample`, and no submission.csv without one.
        sample: sample_submission CSV whose ids, order and header submission.csv has; None: those of the
            test pictures.
    """

    submission: Literal["probabilities", "labels"] | None
    # Runs of earlier versions have none.
    sample: str | None = None
