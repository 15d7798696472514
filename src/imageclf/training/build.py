"""From a checked config to the objects of a run."""

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import lightning as pl
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from torch import nn

from imageclf.callbacks import Report
from imageclf.callbacks.always.plan_files import Plan
from imageclf.callbacks.always.summary import Summary
from imageclf.callbacks.callback import in_order
from imageclf.configs import instantiate
from imageclf.configs.options import Offered
from imageclf.data import Caching, ImageData, Loading, Table
from imageclf.model import (
    ClassifierModule,
    DataConfig,
    ImageClassifier,
    compile_backbone,
    create_backbone,
    data_config,
    layer_groups,
    num_features,
)
from imageclf.model.metrics import MetricFunction
from imageclf.model.weights.files import CheckpointFiles
from imageclf.schedule import RunState, Schedule
from imageclf.system.signals import Notice
from imageclf.system.world import Environment, job_id, num_tasks
from imageclf.training.check_values import check_callbacks, check_trainer
from imageclf.training.extras import labels_of
from imageclf.training.parts.accelerator import settle
from imageclf.training.parts.augmentation import build_augmentation
from imageclf.training.parts.loss import build_loss
from imageclf.training.parts.metrics import build_metrics, lower_is_better
from imageclf.training.parts.optimizer import build_optimizer
from imageclf.training.parts.table import take


class Parts(NamedTuple):
    """What a training is made of, but for callbacks and trainer."""

    schedule: Schedule
    module: ClassifierModule
    data: ImageData

    @property
    def state(self) -> RunState:
        """What the run learns on its way; module, data and callbacks share it."""
        return self.module.state


def build_parts(config: dict[str, Any], table: Table) -> Parts:
    """Build schedule, model and data.

    Raises:
        InputError: parts of the config contradict each other or the data.
    """
    schedule = Schedule.from_plain(config["schedule"]["phases"])
    check_callbacks(config["callbacks"], schedule)
    counts = dict(zip(table.classes, table.class_counts("train").tolist(), strict=True))
    all_sizes = schedule.sizes(config["data"]["size"])
    metrics = build_metrics(config, table.num_classes)
    by_layer = any(phase.layer_decay is not None for phase in schedule.phases.values())
    state = RunState()
    module, expects = build_module(config["model"], counts, all_sizes, metrics, by_layer, state)
    schedule.check(
        module.groups.names,
        has_finder="lr_finder" in config["callbacks"],
        has_validation=len(table.rows("valid")) > 0,
    )
    if config["model"]["compile"] is not None:
        variants = {(place.size, place.phase.unfreeze_to, place.phase.bn) for place in schedule.places}
        compile_backbone(module.model.backbone, config["model"]["compile"], len(variants))
    return Parts(schedule, module, build_data(config, table, schedule, expects, state))


def build_callbacks(
    config: dict[str, Any],
    schedule: Schedule,
    state: RunState,
    run_dir: Path,
    ends: bool = True,
    notice: Notice | None = None,
) -> list[pl.Callback]:
    """Build the callbacks, in the order of their hooks.

    Args:
        config: of the run.
        schedule: of the run.
        state: of the run; the same object as that of its module and data.
        run_dir: of the run.
        ends: whether plan, summary and report are among them: they end a run.
        notice: the signals that the run has received; None: it does not handle them.
    """
    nodes = config["callbacks"]
    best = (nodes.get("checkpoint") or {}).get("best")
    lower = best is not None and bool(lower_is_better(best, config))
    given = Offered(schedule, run_dir, config["seed"], state, notice, lower)
    callbacks: list[pl.Callback] = _instances(nodes, "callbacks", given._asdict())
    if not ends:
        return [each for each in in_order(callbacks) if not isinstance(each, Report)]
    plan = Plan(run_dir, schedule, state)
    summary = Summary(run_dir, state, labels_of(config), config["analysis"]["submission"])
    return in_order([*callbacks, plan, summary])


def build_module(
    node: dict[str, Any],
    counts: Mapping[str, int],
    all_sizes: set[int],
    metrics: Mapping[str, MetricFunction] | None = None,
    by_layer: bool = False,
    state: RunState | None = None,
) -> tuple[ClassifierModule, DataConfig]:
    """Build the LightningModule, and return what its weights expect of a picture.

    Args:
        node: the model node.
        counts: training pictures of each class, in class order.
        all_sizes: pixels a side that the run will use.
        metrics: further scores of each validation, by name.
        by_layer: give each layer an optimizer group of its own.
        state: of the run.

    Raises:
        InputError: the architecture does not take the sizes, or a part refuses its values.
    """
    backbone = create_backbone(node["backbone"], node["weights"], all_sizes, node["drop_path_rate"])
    expects = data_config(backbone)
    features = num_features(backbone, min(all_sizes))
    head: nn.Module = instantiate(node["head"], "model.head", in_features=features, num_classes=len(counts))
    model = ImageClassifier(backbone, head, expects.mean, expects.std)
    module = ClassifierModule(
        model=model,
        groups=layer_groups(model, node["groups"]),
        classes=tuple(counts),
        loss=build_loss(node, counts),
        optimizer=partial(build_optimizer, node["optimizer"]),
        weight_decay=float(node["optimizer"].get("weight_decay", 0.0)),
        channels_last=node["channels_last"],
        mixing=None if node["mixing"] is None else instantiate(node["mixing"], "model.mixing"),
        metrics=metrics,
        by_layer=by_layer,
        state=state,
    )
    return module, expects


def build_data(
    config: dict[str, Any],
    table: Table,
    schedule: Schedule,
    expects: DataConfig,
    state: RunState | None = None,
) -> ImageData:
    """Build the LightningDataModule."""
    return ImageData(
        table=table,
        loading=take(Loading, config["data"]),
        schedule=schedule,
        augmentation=build_augmentation(config["transforms"]),
        crop_pct=expects.crop_pct,
        seed=config["seed"],
        caching=take(Caching, config["data"]),
        state=state,
    )


def build_trainer(
    config: dict[str, Any],
    max_epochs: int,
    run_dir: Path,
    callbacks: list[pl.Callback],
    has_validation: bool = True,
) -> pl.Trainer:
    """Build the Trainer.

    Args:
        config: of the run.
        max_epochs: epochs of the schedule.
        run_dir: of the run.
        callbacks: in the order of their hooks.
        has_validation: whether any picture is held out.

    Raises:
        InputError: the node sets what the program sets itself, or asks for what this machine has not.
    """
    node = config["trainer"]
    check_trainer(node)
    node = {**node, **settle(node)}
    if not has_validation:
        # An empty list of loaders would do, but for Lightning's warning.
        node = {**node, "limit_val_batches": 0}
    loggers = _instances(config["logger"] or {}, "logger", {})
    trainer: pl.Trainer = instantiate(
        {**node, "profiler": _profiler(node)},
        "trainer",
        max_epochs=max_epochs,
        callbacks=callbacks,
        logger=loggers or False,
        default_root_dir=str(run_dir),
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        plugins=[CheckpointFiles(), *cluster_environment(os.environ)],
    )
    return trainer


def cluster_environment(environment: Environment) -> list[ClusterEnvironment]:
    """Return what tells the Trainer its rank, where Lightning would take a SLURM job for srun's tasks.

    Args:
        environment: of this process.
    """
    if "TORCHELASTIC_RUN_ID" in environment or job_id(environment) is None:
        return []
    # A batch script without srun, or a rank of ours inside of a job.
    if num_tasks(environment) == 1 or not SLURMEnvironment.detect():
        return [LightningEnvironment()]
    # We requeue by ourselves: Lightning would save inside its handler
    # (https://github.com/Lightning-AI/pytorch-lightning/issues/21406).
    return [SLURMEnvironment(auto_requeue=False)]


def _profiler(node: Mapping[str, Any]) -> Any:
    profiler = node.get("profiler")
    return instantiate(profiler, "trainer.profiler") if isinstance(profiler, Mapping) else profiler


def _instances(nodes: Mapping[str, Any], group: str, offered: Mapping[str, Any]) -> list[Any]:
    return [
        instantiate(node, f"{group}.{name}", **offered) for name, node in nodes.items() if node is not None
    ]
