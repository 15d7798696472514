"""Whether a run can go on from a checkpoint, which may be any file: refused before the first batch if not."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.optim import Optimizer

from imageclf import InputError
from imageclf.data import ImageData
from imageclf.model.module import ClassifierModule
from imageclf.model.weights.files import is_whole, read_saved
from imageclf.model.weights.positions import noted_grid

# What a checkpoint must have, beside its position, for the Trainer to restore it.
_PARTS = ("state_dict", "optimizer_states", "lr_schedulers", "callbacks", "pytorch-lightning_version")
# The types of those that are opened before the Trainer does.
_MAPPINGS = ("state_dict", "callbacks")


def check_resumable(path: Path) -> None:
    """Refuse a file that no run could start from, before a picture is read."""
    remedy = "give a file of a run's checkpoints/, auto or null"
    if path.is_dir():
        raise InputError(f"ckpt_path={path} is a folder: {remedy}")
    if not path.exists():
        raise InputError(f"ckpt_path={path}: there is no such file; {remedy}")
    if path.is_file() and not is_whole(path):
        raise InputError(f"ckpt_path={path} is damaged, or no checkpoint: {remedy}")
    try:
        _read(path)
    except InputError as error:
        raise InputError(f"ckpt_path={error}; {remedy}") from None


def check_fits(path: Path, module: ClassifierModule, data: ImageData, num_ranks: int, is_own: bool) -> None:
    """Refuse a checkpoint of another run that this one cannot go on from.

    The module's state is not restored yet. A checkpoint of the run's own directory (`is_own`) may be that
    of the run's end.
    """
    content = _read(path)
    reason = (
        _other_classes(content.get("classes"), module.classes)
        or _other_tensors(content["state_dict"], module.state_dict())
        or _other_grid(content, module)
        or _other_optimizer(content["optimizer_states"], module.configure_optimizers())
        or (_other_pictures(content.get("table"), data) if is_own else "")
        or _other_place(content, data, num_ranks, is_own)
    )
    if reason:
        raise InputError(
            f"{path} is not a checkpoint that this run can go on from: {reason}; give one that fits, or "
            f"start a new run from its weights with model.weights={path}"
        )


def _read(path: Path) -> dict[str, Any]:
    """Return the content of a checkpoint, and refuse one that lacks what every run has saved."""
    content = read_saved(path, maps=True)
    if "position" not in content:
        raise InputError(f"{path} holds weights only, not the state of a run")
    lacking = [name for name in _PARTS if name not in content]
    odd = [name for name in _MAPPINGS if name not in lacking and not isinstance(content[name], dict)]
    if lacking or odd or not _is_position(content["position"]):
        what = f"it lacks {lacking[0]}" if lacking else f"its {(odd or ['position'])[0]} has another form"
        raise InputError(f"{path} is not a checkpoint of a run of imageclf: {what}")
    return content


def _is_position(value: Any) -> bool:
    """Return whether a value is an epoch and a batch, both counted from 0."""
    numbers = value if isinstance(value, list | tuple) else []
    return len(numbers) == 2 and all(type(number) is int and number >= 0 for number in numbers)


def _other_classes(saved: Any, classes: tuple[str, ...]) -> str:
    """Return how classes differ, or nothing; a checkpoint of early versions has none."""
    names = list(saved) if isinstance(saved, list | tuple) else None
    if names is None or names == list(classes):
        return ""
    if len(names) != len(classes):
        return f"it has {len(names)} classes, and this run has {len(classes)}"
    theirs, ours = next(pair for pair in zip(names, classes, strict=True) if pair[0] != pair[1])
    return f"its class {theirs!r} is {ours!r} in this run"


def _other_tensors(saved: Mapping[str, Any], own: Mapping[str, Tensor]) -> str:
    names = [name for name in own if getattr(saved.get(name), "shape", None) != own[name].shape]
    names += saved.keys() - own.keys()
    return f"its model is another one, and differs in {names[0]}" if names else ""


def _other_grid(saved: Mapping[str, Any], module: ClassifierModule) -> str:
    """Return that position embeddings are for pictures of another shape, or nothing: there may be as many."""
    is_same = noted_grid(saved) == noted_grid(module.weights_note())
    return "" if is_same else "its position embeddings are for pictures of another shape"


def _other_optimizer(saved: Any, own: Optimizer) -> str:
    """Return how the optimizer differs, or nothing: its state is stored by the order of its groups."""
    try:
        theirs = [(len(group["params"]), group.keys()) for group in saved[0]["param_groups"]]
    except (LookupError, TypeError, AttributeError):
        return "it has no state of an optimizer"
    ours = [(len(group["params"]), group.keys()) for group in own.state_dict()["param_groups"]]
    if [number for number, _ in theirs] != [number for number, _ in ours]:
        return "its layers are grouped otherwise, by model.groups or layer_decay"
    # Releases of torch add options; another optimizer also lacks some.
    is_other = any(a - b and b - a for (_, a), (_, b) in zip(theirs, ours, strict=True))
    return "its optimizer is another one" if is_other else ""


def _other_pictures(saved: Any, data: ImageData) -> str:
    """Return that the pictures or their splits are others, or nothing; early versions have saved none."""
    if saved is None or saved == data.table.digest:
        return ""
    return "its pictures, classes or splits are not those that are now in split.csv"


def _other_place(saved: Mapping[str, Any], data: ImageData, num_ranks: int, is_own: bool) -> str:
    """Return how a position is outside the schedule, or nothing."""
    (epoch, batch), epochs = saved["position"], data.schedule.epochs
    # The Checkpoint callback has a sentence about other ranks, whose epochs have other batches.
    if saved.get("ranks", num_ranks) != num_ranks and data.loading.global_batch_size is None:
        return ""
    if epoch >= epochs:
        at_end = is_own and (epoch, batch) == (epochs, 0)
        return "" if at_end else f"it has done {epoch:,} epochs, and this run's schedule ends after {epochs}"
    num_batches = data.num_batches(data.schedule.at(epoch), num_ranks)
    if batch >= num_batches:
        return f"it has done {batch:,} batches of epoch {epoch}, which has {num_batches} in this run"
    return ""
