"""The one wrapper around hydra.utils.instantiate: mistakes become one sentence that names the key."""

import inspect
from collections.abc import Mapping
from typing import Any

import hydra.utils

from imageclf import InputError


def locate_target(node: Any, key: str) -> Any:
    """Return the class or function that a node's `_target_` names.

    Raises:
        InputError: `_target_` is missing, or cannot be imported.
    """
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise InputError(f"{key} needs a _target_: the dotted name of a class or function")
    try:
        found = hydra.utils.get_object(node["_target_"])
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{key}._target_={node['_target_']} cannot be imported: {reason}") from error
    if not callable(found):
        raise InputError(f"{key}._target_={node['_target_']} is neither a class nor a function")
    return found


def instantiate(node: Mapping[str, Any], key: str, *args: Any, **offered: Any) -> Any:
    """Build what a node names; of the offered values it gets those that its signature takes.

    Args:
        node: plain values with a `_target_`.
        key: of the node in the config, for the messages.
        args: positional arguments.
        offered: values that only the program has, such as the schedule.

    Raises:
        InputError: the target refuses the node's values.
    """
    # Imported here: --help and Tab need no torch.
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    parameters = inspect.signature(locate_target(node, key)).parameters
    taken = {name: value for name, value in offered.items() if name in parameters}
    # In two steps: Hydra would turn dataclasses among the offered values into configs.
    factory = hydra.utils.instantiate(dict(node), _partial_=True, _convert_="all", _recursive_=False)
    try:
        return factory(*args, **taken)
    except InputError:
        raise
    except (TypeError, ValueError, RuntimeError, ImportError, MisconfigurationException) as error:
        raise InputError(f"{key}: {str(error).splitlines()[0]}") from error
