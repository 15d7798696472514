"""From a checked config to the objects of a run."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import lightning as pl
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.loggers import Logger
from timm.layers.norm_act import convert_sync_batchnorm

from imageclf.callbacks import Report
from imageclf.callbacks.always.kernel_search import KernelSearch
from imageclf.callbacks.always.loggers import FeedLoggers
from imageclf.callbacks.always.phase_average import PhaseAverage
from imageclf.callbacks.always.plan_files import Plan
from imageclf.callbacks.always.summary import Summary
from imageclf.callbacks.callback import in_order
from imageclf.configs import instantiate
from imageclf.configs.options import Offered
from imageclf.data import ImageData, Table
from imageclf.data.pictures.pixels import Pixels
from imageclf.data.views.extra import try_extra
from imageclf.model.compiling import compile_backbone
from imageclf.model.layout import is_channels_last
from imageclf.model.module import ClassifierModule
from imageclf.model.weights.files import CheckpointFiles
from imageclf.schedule import RunState, Schedule
from imageclf.schedule.size import by_pixels, edges
from imageclf.system.signals import Notice
from imageclf.system.world import Environment, job_id, num_tasks
from imageclf.training.extras import labels_of
from imageclf.training.parts.accelerator import may_use_cuda, settle, total_ranks
from imageclf.training.parts.metrics import build_metrics, lower_is_better
from imageclf.training.parts.module import build_module
from imageclf.training.parts.pixels import check_pixels
from imageclf.training.run_config import RunConfig


class Parts(NamedTuple):
    """What a training is made of, except callbacks and trainer."""

    schedule: Schedule
    module: ClassifierModule
    data: ImageData

    @property
    def state(self) -> RunState:
        """What the run learns on its way; module, data and callbacks share it."""
        return self.module.state


def build_parts(config: RunConfig, table: Table) -> Parts:
    """Build model and data.

    Raises:
        InputError: parts of the config contradict each other or the data.
    """
    schedule, size = config.schedule, config.data.loading.size
    check_pixels(table.pixels, config.transforms, config.data.caching, config.data.loading.device_store)
    counts = dict(zip(table.classes, table.class_counts("train").tolist(), strict=True))
    metrics = build_metrics(config, table.num_classes)
    by_layer = any(phase.layer_decay is not None for phase in schedule.phases.values())
    state = RunState()
    sizes = schedule.sizes(size)
    _try_extra(config, table.pixels)
    # The table's: it has measured the training pictures.
    task, pictures = table.task, len(table.rows("train"))
    module, expects = build_module(
        config.model, counts, sizes, metrics, by_layer, state, task, pictures, table.pixels
    )
    if config.trainer.get("sync_batchnorm"):
        # Timm's norms hold their activation, which torch's own conversion would drop; names stay the same.
        convert_sync_batchnorm(module.model)
    schedule.check(
        module.groups.names,
        has_finder="lr_finder" in config.callbacks,
        has_validation=len(table.rows("valid")) > 0,
    )
    if config.model.compile is not None:
        variants = {(place.size, place.phase.unfreeze_to, place.phase.bn) for place in schedule.places}
        compile_backbone(module.model.backbone, config.model.compile, len(variants))
    data = ImageData(
        table=table,
        loading=config.data.loading,
        schedule=schedule,
        augmentation=config.transforms,
        crop_pct=expects.crop_pct,
        seed=config.seed,
        caching=config.data.caching,
        state=state,
    )
    ranks = total_ranks(config.trainer)
    steps = sum(data.num_batches(place, ranks) for place in schedule.places)
    asked, on_cuda = config.model.channels_last, may_use_cuda(config.trainer)
    module.model.arrange(is_channels_last(asked, module.model.backbone, on_cuda, steps))
    return Parts(schedule, module, data)


def _try_extra(config: RunConfig, pixels: Pixels) -> None:
    """Try a transform of the user's own at the smallest size that is augmented, if there is any."""
    places, whole = config.schedule.places, config.data.loading.size
    sizes = by_pixels({place.size or whole for place in places if place.phase.augment})
    if config.transforms.extra is not None and sizes:
        try_extra(config.transforms.extra, (*edges(sizes[0]), pixels.channels), pixels.dtype)


def build_callbacks(
    config: RunConfig, state: RunState, run_dir: Path, ends: bool = True, notice: Notice | None = None
) -> list[pl.Callback]:
    """Build the callbacks, in the order of their hooks.

    The state is the same object as that of the run's module and data. Without `ends` what belongs to a whole
    run is left out: plan, summary, report, the average of phases, and cuDNN's search. Without a notice they
    handle no signals.
    """
    nodes = config.callbacks
    best = nodes.get("checkpoint", {}).get("best")
    lower = best is not None and bool(lower_is_better(best, config))
    given = Offered(config.schedule, run_dir, config.seed, state, notice, lower)
    offered = given._asdict()
    callbacks = [instantiate(node, f"callbacks.{name}", **offered) for name, node in nodes.items()]
    if not ends:
        return [each for each in in_order(callbacks) if not isinstance(each, Report)]
    average = PhaseAverage(config.schedule)
    plan = Plan(run_dir, config.schedule, state)
    summary = Summary(run_dir, state, labels_of(config), config.analysis)
    feed = [FeedLoggers(run_dir, state)] if config.logger else []
    search = [KernelSearch(config.schedule)] if config.trainer.get("benchmark") is None else []
    return in_order([*callbacks, average, plan, summary, *feed, *search])


def build_trainer(
    node: Mapping[str, Any],
    max_epochs: int,
    run_dir: Path,
    callbacks: list[pl.Callback],
    loggers: Sequence[Logger] = (),
    has_validation: bool = True,
) -> pl.Trainer:
    """Build the Trainer.

    The node is checked, and the callbacks are in the order of their hooks.

    Raises:
        InputError: this machine does not have what the node asks for.
    """
    # Batch norms are converted when the module is built.
    node = {name: value for name, value in {**node, **settle(node)}.items() if name != "sync_batchnorm"}
    if not has_validation:
        # An empty list of loaders would do, but for Lightning's warning.
        node = {**node, "limit_val_batches": 0}
    trainer: pl.Trainer = instantiate(
        {**node, "profiler": _profiler(node)},
        "trainer",
        max_epochs=max_epochs,
        callbacks=callbacks,
        # RESERVED in check_values.py says of each of these why it is fixed.
        logger=list(loggers) or False,
        default_root_dir=str(run_dir),
        enable_checkpointing=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        reload_dataloaders_every_n_epochs=1,
        num_sanity_val_steps=0,
        plugins=[CheckpointFiles(), *cluster_environment(os.environ)],
    )
    # Lightning's handler of SIGTERM waits for the other ranks inside it, and ends the process as if all were
    # well. No setting leaves it out: https://github.com/Lightning-AI/pytorch-lightning/pull/20825
    trainer._signal_connector.register_signal_handlers = lambda: None  # type: ignore[method-assign]
    return trainer


def cluster_environment(environment: Environment) -> list[ClusterEnvironment]:
    """Return the plugin that tells the Trainer its rank where Lightning would take a SLURM job for srun."""
    if "TORCHELASTIC_RUN_ID" in environment or job_id(environment) is None:
        return []
    # A batch script without srun, or a rank of ours inside of a job.
    if num_tasks(environment) == 1 or not SLURMEnvironment.detect():
        return [LightningEnvironment()]
    # The program requeues: Lightning would save inside its signal handler
    # (https://github.com/Lightning-AI/pytorch-lightning/issues/21406).
    return [SLURMEnvironment(auto_requeue=False)]


def _profiler(node: Mapping[str, Any]) -> Any:
    profiler = node.get("profiler")
    return instantiate(profiler, "trainer.profiler") if isinstance(profiler, Mapping) else profiler
