"""A run's config, parsed once: every check, build and command takes this, or a part of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Protocol, TypeVar

from imageclf import InputError
from imageclf.configs import instantiate, load_config, locate_target
from imageclf.configs.instantiate import parameters_of
from imageclf.configs.options import AnalysisOptions, ClusterOptions, Extras, ModelOptions
from imageclf.configs.plain import Plain
from imageclf.data import Augmentation, Caching, ClassList, Loading, Splitting, Table
from imageclf.data.views.extra import as_extra
from imageclf.schedule import Schedule
from imageclf.schedule.lr_scaling import LrScaling
from imageclf.schedule.size import read_size
from imageclf.tasks import MULTICLASS, Task
from imageclf.training.check_keys import check
from imageclf.training.check_values import (
    check_batch_size,
    check_callbacks,
    check_class_weights,
    check_model,
    check_trainer,
)
from imageclf.training.parts.pixels import check_pixels, given_pixels

Node = Mapping[str, Any]
"""Plain values of a `_target_`, which is built later."""


class Source(Protocol):
    """Where the pictures come from; `read` may take the task, and must for any but the usual one."""

    def read(self) -> Table:
        """Return all pictures, not split where the source leaves that open."""


@dataclass(frozen=True)
class DataOptions:
    """The data node: where the pictures are, how they are split, how they become batches, what is kept."""

    source: Source
    splitting: Splitting
    loading: Loading
    caching: Caching
    task: Task = MULTICLASS
    class_list: ClassList = field(default_factory=ClassList)

    def read(self) -> Table:
        """Return the pictures of the source in the chosen classes, with labels as the task reads them.

        Raises:
            InputError: they cannot be read, or there are no such classes.
        """
        return self.class_list.apply(self.task.read(self.source.read))


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A training config; its fields are the legal keys at the top level.

    conf/train.yaml explains each key. Nodes that are null build nothing, and are in none of the mappings.
    """

    data: DataOptions
    transforms: Augmentation
    model: ModelOptions
    schedule: Schedule
    callbacks: Mapping[str, Node]
    metrics: Mapping[str, Node]
    analysis: AnalysisOptions
    trainer: Node
    logger: Mapping[str, Node] | None
    experiment: str | None
    task_name: str | None
    tags: Sequence[str]
    extras: Extras
    seed: int
    optimized_metric: str | None
    ckpt_path: str | None
    resume_sweep: str | None
    cluster: ClusterOptions | None
    # Runs of earlier versions have none of these.
    trust: str | Sequence[str] = ()
    task: Task = MULTICLASS
    lr_scaling: LrScaling = "none"
    lr_batch_size: int = 64
    budget: str | float | None = None


Config = TypeVar("Config", bound=RunConfig)


def read_run_config(run_dir: Path) -> RunConfig:
    """Return the config of a run directory; what comes from the environment is read now."""
    return parse(load_config(run_dir / "config.yaml"), RunConfig)


def parse(config: Plain, kind: type[Config]) -> Config:
    """Check the keys and values of a composed config, and build all of it that needs no pictures.

    `kind` is `RunConfig`, or what a command adds to it.

    Raises:
        InputError: the first mistake.
    """
    check(config, kind)
    cluster = config["cluster"]
    task = build_task(config.get("task"))
    built = {
        "task": task,
        "data": data_options(config["data"], task),
        "transforms": build_augmentation(config["transforms"]),
        "model": ModelOptions(**config["model"]),
        "schedule": Schedule.from_plain(config["schedule"]["phases"]),
        "callbacks": _present(config["callbacks"]),
        "metrics": _present(config["metrics"]),
        "logger": _present(config["logger"]),
        "analysis": AnalysisOptions(**config["analysis"]),
        "extras": Extras(**config["extras"]),
        "cluster": ClusterOptions(**cluster) if cluster else None,
    }
    parsed = kind(**(config | built))
    check_callbacks(parsed.callbacks, parsed.schedule)
    check_trainer(parsed.trainer)
    check_batch_size(parsed.data.loading)
    # What auto stands for only the files tell.
    loading = parsed.data.loading
    check_pixels(given_pixels(loading), parsed.transforms, parsed.data.caching, loading.device_store)
    check_model(parsed.model)
    check_class_weights(parsed.model)
    task.kind.check_mixing(parsed.model.mixing)
    return parsed


def build_task(node: Node | None) -> Task:
    """Build the task node; runs of earlier versions have none, and the usual task.

    Raises:
        InputError: a value is out of range.
    """
    return MULTICLASS if node is None else instantiate(node, "task")


def data_options(node: Node, task: Task = MULTICLASS) -> DataOptions:
    """Return the flat data node as its parts.

    Raises:
        InputError: a value is out of range.
    """
    own = {"_target_", *parameters_of(locate_target(node, "data"))}
    shared = {name: value for name, value in node.items() if name not in own}
    return DataOptions(
        source=instantiate({name: value for name, value in node.items() if name in own}, "data"),
        splitting=_part(Splitting, node),
        loading=_part(Loading, {**node, "size": read_size(node["size"], "data.size")}),
        caching=_part(Caching, node),
        task=task,
        # A source of one's own may have used these names first.
        class_list=_part(ClassList, shared),
    )


def build_augmentation(node: Node) -> Augmentation:
    """Build the transforms node, with the user's own part `extra` if it has one.

    Raises:
        InputError: a value is out of range, `extra` cannot be called, or the node builds something else.
    """
    extra = node.get("extra")
    offered = {}
    if extra is not None:
        offered["extra"] = as_extra(instantiate(extra, "transforms.extra"), str(extra["_target_"]))
    others = {name: value for name, value in node.items() if name not in offered}
    augmentation = instantiate(others, "transforms", **offered)
    if not isinstance(augmentation, Augmentation):
        raise InputError(
            f"transforms._target_={node['_target_']} gives a {type(augmentation).__name__}, not an "
            "imageclf.data.Augmentation; a transform of your own is transforms.extra._target_"
        )
    return augmentation


def _part(options: Any, node: Node) -> Any:
    """Return the dataclass of those keys of a flat node that are its fields."""
    return options(**{field.name: node[field.name] for field in fields(options) if field.name in node})


def _present(nodes: Mapping[str, Node | None] | None) -> Mapping[str, Node]:
    """Return the nodes that are not null: null builds nothing, as if the node were removed."""
    return {name: node for name, node in (nodes or {}).items() if node is not None}
