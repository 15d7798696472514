"""From the model node to the LightningModule: network, head, loss and optimizer."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from imageclf import InputError
from imageclf.configs import instantiate, locate_target
from imageclf.configs.options import ModelOptions
from imageclf.data.pictures.pixels import RGB, Pixels
from imageclf.evaluation.candidates import candidate_files
from imageclf.model.backbone import DataConfig, create_backbone, data_config, num_features
from imageclf.model.classifier import ImageClassifier
from imageclf.model.groups import layer_groups
from imageclf.model.losses import class_weights
from imageclf.model.metrics import MetricFunction
from imageclf.model.module import ClassifierModule
from imageclf.model.own_backbone import check_own, load_body, split_head
from imageclf.model.weights.head_rows import keep_rows
from imageclf.model.weights.pretrained import SOURCES, read_content
from imageclf.schedule import RunState
from imageclf.schedule.size import PictureSize, by_pixels
from imageclf.tasks import MULTICLASS, Task
from imageclf.training.parts.pixels import normalised

# Optimizers with a mature fused implementation on CUDA.
_FUSED = (Adam, AdamW, SGD)
# Keys that choose the implementation, or exclude the fused one.
_CHOSEN = ("fused", "foreach", "differentiable")


def build_module(
    options: ModelOptions,
    counts: Mapping[str, int],
    all_sizes: set[PictureSize],
    metrics: Mapping[str, MetricFunction] | None = None,
    by_layer: bool = False,
    state: RunState | None = None,
    task: Task = MULTICLASS,
    pictures: int = 0,
    pixels: Pixels = RGB,
) -> tuple[ClassifierModule, DataConfig]:
    """Build the LightningModule, and return what its weights expect of a picture.

    `counts` has the training pictures of each class, in class order, and `pictures` all of them: a
    picture may have several labels. With `by_layer` each layer has its own group of the optimizer.

    Raises:
        InputError: the architecture does not take the sizes, or a part refuses its values.
    """
    file = None if options.weights in SOURCES else weights_file(options.weights)
    chosen = replace(options, weights=file or options.weights)
    model, expects = build_network(chosen, len(counts), all_sizes, pixels)
    if file is not None:
        keep_rows(model.head, tuple(counts), read_content(file))
    module = ClassifierModule(
        model=model,
        groups=layer_groups(model, options.groups),
        classes=tuple(counts),
        loss=build_loss(options, counts, task, pictures),
        optimizer=partial(build_optimizer, options.optimizer),
        weight_decay=float(options.optimizer.get("weight_decay", 0.0)),
        channels_last=options.channels_last is not False,
        mixing=None if options.mixing is None else instantiate(options.mixing, "model.mixing"),
        metrics=metrics,
        by_layer=by_layer,
        state=state,
        task=task,
    )
    return module, expects


def weights_file(weights: str) -> str:
    """Return the file that a path in `model.weights` stands for: of a run, that of the model that it reports.

    Raises:
        InputError: the folder is no run, or the run reports several networks.
    """
    folder = Path(weights).expanduser()
    if not folder.is_dir():
        return weights
    if not (folder / "snapshots").is_dir():
        raise InputError(
            f"model.weights={weights}: the folder is no finished run; give one, or a file of weights"
        )
    first, *others = candidate_files(folder, "best")
    if others:
        raise InputError(
            f"model.weights={weights}: the run reports an ensemble of {1 + len(others)} networks; give a "
            f"file of its folder snapshots, such as model.weights={weights}/snapshots/average.ckpt"
        )
    return str(first)


def build_network(
    options: ModelOptions, num_classes: int, all_sizes: set[PictureSize], pixels: Pixels = RGB
) -> tuple[ImageClassifier, DataConfig]:
    """Build backbone and head, and return what their weights expect of a picture.

    Raises:
        InputError: as `build_module`.
    """
    size, channels = by_pixels(all_sizes)[0], pixels.channels
    if isinstance(options.backbone, str):
        rate = options.drop_path_rate
        backbone = create_backbone(options.backbone, options.weights, all_sizes, rate, channels)
    else:
        offered = {"num_classes": num_classes, **({} if channels == 3 else {"in_chans": channels})}
        built = instantiate(options.backbone, "model.backbone", **offered)
        backbone = check_own(built, options.backbone["_target_"])
    expects = normalised(data_config(backbone), pixels)
    if options.head is None:
        backbone, head = split_head(backbone, size, num_classes, channels)
    else:
        features = num_features(backbone, size, channels)
        head = instantiate(options.head, "model.head", in_features=features, num_classes=num_classes)
    if not isinstance(options.backbone, str):
        load_body(backbone, options.weights)
    return ImageClassifier(backbone, head, expects.mean, expects.std, pixels.top), expects


def build_loss(
    model: ModelOptions, counts: Mapping[str, int], task: Task = MULTICLASS, pictures: int = 0
) -> nn.Module:
    """Build the loss.

    Arguments as in `build_module`.

    Raises:
        InputError: class weights cannot be computed, or the loss refuses its values or is for another task.
    """
    weight = class_weights(model.class_weights, counts, task, pictures)
    # Only on demand: a loss may have a `weight` with another meaning.
    offered = {} if weight is None else {"weight": weight}
    loss: nn.Module = instantiate(model.loss, "model.loss", **offered)
    task.check_loss(loss, len(counts))
    return task.kind.on_targets(loss)


def build_optimizer(node: Mapping[str, Any], groups: list[dict[str, Any]], fused: bool = False) -> Optimizer:
    """Build the optimizer node for the parameter groups of a model.

    `fused` asks for the fused implementation, if the optimizer has one and the node does not choose
    another.

    Raises:
        InputError: the optimizer refuses the node's values.
    """
    target = locate_target(node, "model.optimizer")
    fused = fused and isinstance(target, type) and issubclass(target, _FUSED)
    chosen = any(node.get(key) is not None for key in _CHOSEN)
    offered = {"fused": True} if fused and not chosen else {}
    optimizer: Optimizer = instantiate(node, "model.optimizer", groups, **offered)
    if groups[0]["params"][0].device.type == "cpu":
        # Adam asks at every step whether a graph of CUDA is being captured, wherever its weights are. That
        # would start CUDA, which takes half a gigabyte of a GPU's memory.
        # https://github.com/pytorch/pytorch/pull/180453
        optimizer._accelerator_graph_capture_health_check = lambda: None  # type: ignore[method-assign]
    return optimizer
