"""A head that goes on from that of an older run, class by class."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from imageclf.system.words import counted, joined

_log = logging.getLogger(__name__)

# Classes that a line names.
_NAMED = 8

Tensors = Mapping[str, Tensor]


def keep_rows(head: nn.Module, classes: Sequence[str], content: Mapping[str, Any]) -> None:
    """Give a head what an older one has learned of the classes that both know, and log which these are.

    `content` is that of a file of weights; one that names no classes, as those of other programs, leaves the
    head as it is.
    """
    names, state = content.get("classes"), content.get("state_dict")
    if not isinstance(names, list | tuple) or not isinstance(state, dict):
        return
    # The names of a checkpoint have a word more than those of a snapshot.
    plain = {name.removeprefix("model."): value for name, value in state.items()}
    old = {name.removeprefix("head."): value for name, value in plain.items() if name.startswith("head.")}
    merged = with_old_rows(head.state_dict(), old, classes, names)
    kept = [name for name in classes if name in names]
    if merged is None or not kept:
        why = "the one in the file is of another kind" if merged is None else "no class is in the file"
        _log.warning("model.weights: the head starts anew: %s", why)
        return
    head.load_state_dict(merged)
    new = [name for name in classes if name not in names]
    others = f"; {joined(new, _NAMED)} start{'s' if len(new) == 1 else ''} anew" if new else ""
    number = counted(len(kept), "class", "classes")
    _log.info("model.weights: the head keeps what it knows of %s: %s%s", number, joined(kept, _NAMED), others)


def with_old_rows(
    head: Tensors, old: Tensors, classes: Sequence[str], old_classes: Sequence[str]
) -> dict[str, Tensor] | None:
    """Return the tensors of an older head, with a row of its last layer for each class of the new one.

    Classes are in class order; that layer has a row per class. None: the heads are of different kinds.
    """
    last = list(head)[-1].rpartition(".")[0]
    rows = [name for name in head if name.rpartition(".")[0] == last]
    others = [name for name in head if name not in rows]
    is_alike = (
        list(head) == list(old)
        and all(head[name].shape == old[name].shape for name in others)
        and all(head[name].shape[1:] == old[name].shape[1:] for name in rows)
        and all(_has_rows(head[name], classes) and _has_rows(old[name], old_classes) for name in rows)
    )
    if not is_alike:
        return None
    kept = [place for place, name in enumerate(classes) if name in old_classes]
    merged = {name: old[name] if name in others else head[name].clone() for name in head}
    for name in rows:
        merged[name][kept] = old[name][[old_classes.index(classes[place]) for place in kept]]
    return merged


def _has_rows(tensor: Tensor, classes: Sequence[str]) -> bool:
    return tensor.shape[:1] == (len(classes),)
