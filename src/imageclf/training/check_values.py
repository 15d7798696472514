"""Refuse what cannot be, before any picture is read or any model is built."""

from typing import Any

from imageclf import InputError, callbacks
from imageclf.callbacks import Callback
from imageclf.data import Caching, Loading, Splitting
from imageclf.data.device_choice import likely_form, obstacle_of, refused
from imageclf.data.views.augmentation import Augmentation
from imageclf.schedule import Schedule
from imageclf.training.parts.accelerator import check_accelerator
from imageclf.training.parts.augmentation import build_augmentation
from imageclf.training.parts.loss import check_weights
from imageclf.training.parts.metrics import build_metrics
from imageclf.training.parts.table import take

OUR_CALLBACKS: list[type[Callback]] = [getattr(callbacks, name) for name in callbacks.__all__]
# What the program sets itself, and where the user says it instead.
RESERVED = {
    "max_epochs": "epochs follow from schedule.phases.NAME.n_cycles, cycle_len and cycle_mult",
    "min_epochs": "epochs follow from the schedule",
    "max_steps": "steps follow from the schedule; trainer.limit_train_batches shortens its epochs",
    "callbacks": "add nodes to callbacks",
    "logger": "choose one with logger=csv|tensorboard|wandb|mlflow|many",
    "default_root_dir": "choose the run directory with hydra.run.dir=PATH",
    "enable_model_summary": "imageclf-plan counts the parameters of each layer group",
    "plugins": "how checkpoints are written and who says the rank is settled",
    "enable_checkpointing": "use callbacks.checkpoint",
    "use_distributed_sampler": "the data is dealt to the ranks by its own sampler",
    "reload_dataloaders_every_n_epochs": "the data follows the schedule by itself",
    "num_sanity_val_steps": "every picture is checked before training",
    "check_val_every_n_epoch": "every epoch is validated",
    "sync_batchnorm": "it is not tested with phases yet",
}


def check_values(config: dict[str, Any]) -> None:
    """Build all that is cheap, so that a value out of range is refused before any picture is read.

    Raises:
        InputError: the first such value.
    """
    check_callbacks(config["callbacks"], Schedule.from_plain(config["schedule"]["phases"]))
    check_trainer(config["trainer"])
    take(Loading, config["data"])
    take(Splitting, config["data"])
    take(Caching, config["data"])
    check_device_store(config["data"], build_augmentation(config["transforms"]))
    check_weights(config["model"])
    build_metrics(config)


def check_device_store(node: dict[str, Any], augmentation: Augmentation) -> None:
    """Refuse pictures on the device where other keys rule them out.

    Args:
        node: the data node.
        augmentation: what a view may do.

    Raises:
        InputError: `data.device_store` is on.
    """
    obstacle = obstacle_of(likely_form(node["cache"]), augmentation)
    if node["device_store"] == "on" and obstacle is not None:
        raise refused(obstacle)


def required_callbacks() -> set[str]:
    """Return the names of the callbacks that no run can do without."""
    return {callback.node() for callback in OUR_CALLBACKS if callback.is_required}


def needed_callbacks(schedule: Schedule) -> dict[str, str]:
    """Return the names of the callbacks that a schedule needs, each with the first phase that needs it."""
    # Backwards, so that the first phase stays.
    return {
        callback.node(): name
        for name, phase in reversed(list(schedule.phases.items()))
        for callback in OUR_CALLBACKS
        if callback.is_needed_by(phase)
    }


def check_callbacks(nodes: dict[str, Any], schedule: Schedule) -> None:
    """Refuse a config without a callback that the schedule needs.

    Raises:
        InputError: such a callback was removed.
    """
    # A node set to null builds nothing, as if it were removed.
    present = {name for name, node in nodes.items() if node is not None}
    for name, phase in needed_callbacks(schedule).items():
        if name in present:
            continue
        if name in required_callbacks():
            raise InputError(f"~callbacks.{name}: it is what the schedule means and cannot be removed")
        remedy = f"change schedule.phases.{phase} first"
        raise InputError(f"~callbacks.{name}: phase {phase} asks for it; {remedy}")


def check_trainer(node: dict[str, Any]) -> None:
    """Refuse what the program sets itself, and say where it is set instead.

    Raises:
        InputError: the node has such a key, or a strategy or precision that is not tested.
    """
    for key, instead in RESERVED.items():
        if key in node:
            raise InputError(f"trainer.{key}={node[key]}: {instead}")
    check_accelerator(node)
    strategy = node.get("strategy", "auto")
    if strategy not in ("auto", "ddp"):
        raise InputError(
            f"trainer.strategy={strategy}: give ddp or auto; others are not tested with phases yet"
        )
