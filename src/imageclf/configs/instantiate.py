"""The one wrapper around hydra.utils.instantiate: mistakes become one sentence that names the key."""

import inspect
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

import hydra.utils
from hydra._internal.utils import _locate

from imageclf import InputError
from imageclf.configs.own_code import make_importable, why_not
from imageclf.system.words import first_line


def locate_target(node: Any, key: str) -> Any:
    """Return the class or function that a node's `_target_` names.

    Raises:
        InputError: `_target_` is missing, or cannot be imported.
    """
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise InputError(f"{key} needs a _target_: the dotted name of a class or function")
    name = str(node["_target_"])
    make_importable(name)
    try:
        # Not hydra.utils.get_object: it would print the mistake a second time.
        found = _locate(name)
    except Exception as error:
        raise InputError(f"{key}._target_={name} cannot be imported: {why_not(name, error)}") from error
    if not callable(found):
        raise InputError(f"{key}._target_={name} is neither a class nor a function")
    return found


def parameters_of(target: Any) -> Mapping[str, inspect.Parameter]:
    """Return the arguments of a class or function.

    A module of torch without a constructor of its own takes none, although torch's signature takes anything.
    """
    # A class of torch is known only where torch is loaded.
    module = getattr(sys.modules.get("torch.nn"), "Module", None)
    if inspect.isclass(target) and module is not None and target.__init__ is module.__init__:
        return {}
    return inspect.signature(target).parameters


def instantiate(node: Mapping[str, Any], key: str, *args: Any, **offered: Any) -> Any:
    """Build what a node names; of the offered values it gets those that its signature takes.

    With `_partial_: true` it is not called, but returned with these values filled in: for a function that is
    itself a metric or a transform.

    `key` is that of the node in the config, for the messages; `offered` are values that only the program
    has, such as the schedule.

    Raises:
        InputError: the target refuses the node's values.
    """
    # Imported here: --help and Tab need no torch.
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    target = locate_target(node, key)
    parameters = parameters_of(target)
    taken = {name: value for name, value in offered.items() if name in parameters}
    # In two steps: Hydra would turn dataclasses among the offered values into configs.
    factory = hydra.utils.instantiate(dict(node), _partial_=True, _convert_="all", _recursive_=False)
    if node.get("_partial_"):
        return partial(factory, *args, **taken)
    try:
        return factory(*args, **taken)
    except InputError:
        raise
    except (TypeError, ValueError, RuntimeError, ImportError, MisconfigurationException) as error:
        # With the picture missing, or the predictions: it was called to make the part.
        is_called = isinstance(error, TypeError) and inspect.isfunction(target)
        hint = "; a function that is itself the transform or metric needs _partial_=true" if is_called else ""
        raise InputError(f"{key}: {first_line(error)}{hint}") from error
