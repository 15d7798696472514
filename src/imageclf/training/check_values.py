"""Refuse values that contradict each other, before any picture is read or any model is built."""

import inspect
from collections.abc import Mapping
from typing import Any

from imageclf import InputError, callbacks
from imageclf.callbacks import Callback
from imageclf.configs import locate_target, options_of
from imageclf.configs.options import ModelOptions
from imageclf.data import Loading
from imageclf.model.backbone import check_known
from imageclf.schedule import Schedule
from imageclf.training.parts.accelerator import check_accelerator

OUR_CALLBACKS: list[type[Callback]] = [getattr(callbacks, name) for name in callbacks.__all__]
# What the program sets itself, and what the user sets instead.
RESERVED = {
    "max_epochs": "epochs follow from schedule.phases.NAME.n_cycles, cycle_len and cycle_mult",
    "min_epochs": "epochs follow from the schedule",
    "max_steps": "steps follow from the schedule; trainer.limit_train_batches shortens its epochs",
    "max_time": "a signal ends and saves a run at any time, such as that of `timeout 2h imageclf-train ...`",
    "callbacks": "add nodes to callbacks",
    "logger": "choose one with logger=csv|tensorboard|wandb|mlflow|many",
    "default_root_dir": "choose the run directory with hydra.run.dir=PATH",
    "enable_model_summary": "imageclf-plan counts the parameters of each layer group",
    "plugins": "how checkpoints are written and where the rank comes from is fixed",
    "enable_checkpointing": "use callbacks.checkpoint",
    "use_distributed_sampler": "the data has its own sampler, which shares it among the ranks",
    "reload_dataloaders_every_n_epochs": "the data follows the schedule by itself",
    "num_sanity_val_steps": "every picture is checked before training",
    "check_val_every_n_epoch": "every epoch is validated",
    "val_check_interval": "every epoch is validated at its end",
}


def check_batch_size(loading: Loading) -> None:
    """Refuse a batch for each process beside one for all of them."""
    if loading.global_batch_size is not None and loading.batch_size != "auto":
        raise InputError(
            f"data.global_batch_size={loading.global_batch_size} is in place of "
            f"data.batch_size={loading.batch_size}: give data.batch_size=auto, or leave out the former"
        )


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


def check_class_weights(model: ModelOptions) -> None:
    """Refuse class weights for a loss that takes none."""
    how, loss = model.class_weights, model.loss
    if how != "none" and "weight" not in inspect.signature(locate_target(loss, "model.loss")).parameters:
        raise InputError(
            f"model.class_weights={how}: {loss['_target_']} takes no weight; "
            "give none, or model/loss=cross_entropy, focal or bce, or bce_multilabel with task=multilabel"
        )


def check_model(model: ModelOptions) -> None:
    """Refuse a model or weights that do not exist, within seconds: before any picture is read.

    Raises:
        InputError: timm knows no such model, or the hub has no weights of it; or a key is for timm's models,
            and the backbone is one of the user's own.
    """
    if not isinstance(model.backbone, str):
        _check_own(model, model.backbone["_target_"])
        return
    if model.head is None:
        raise InputError(
            f"model.head=null: {model.backbone} of timm has none of its own; give model.head._target_"
        )
    check_known(model.backbone, model.weights, options_of("model"))


def _check_own(model: ModelOptions, name: str) -> None:
    if model.weights in ("hub", "packaged"):
        raise InputError(
            f"model.weights={model.weights}: {name} is not a model of timm; give none, which leaves it as "
            "its class makes it, or the path of a file"
        )
    if model.drop_path_rate is not None:
        raise InputError(
            f"model.drop_path_rate={model.drop_path_rate} is for models of timm; {name} takes what "
            "model.backbone gives it"
        )


def check_callbacks(nodes: Mapping[str, Any], schedule: Schedule) -> None:
    """Refuse a config without a callback that the schedule needs."""
    for name, phase in needed_callbacks(schedule).items():
        if name in nodes:
            continue
        if name in required_callbacks():
            raise InputError(f"~callbacks.{name}: it is what the schedule means and cannot be removed")
        remedy = f"change schedule.phases.{phase} first"
        raise InputError(f"~callbacks.{name}: phase {phase} asks for it; {remedy}")


def check_trainer(node: Mapping[str, Any]) -> None:
    """Refuse what the program sets itself, naming what to use instead."""
    for key, instead in RESERVED.items():
        if key in node:
            raise InputError(f"trainer.{key}={node[key]}: {instead}")
    check_accelerator(node)
    strategy = node.get("strategy", "auto")
    if strategy not in ("auto", "ddp"):
        raise InputError(
            f"trainer.strategy={strategy}: give ddp or auto; strategies that shard parameters, such as fsdp "
            "and deepspeed, would freeze, average and save parts of tensors, and no classifier here is too "
            "large for one GPU"
        )
