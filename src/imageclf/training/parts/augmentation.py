"""Build the transforms node."""

from typing import Any

from imageclf.configs import instantiate


def build_augmentation(node: dict[str, Any]) -> Any:
    """Build the augmentation of a transforms node, with its own part `extra` if it names one.

    Raises:
        InputError: a value is out of range.
    """
    extra = node.get("extra")
    if extra is None:
        return instantiate(node, "transforms")
    others = {name: value for name, value in node.items() if name != "extra"}
    return instantiate(others, "transforms", extra=instantiate(extra, "transforms.extra"))
