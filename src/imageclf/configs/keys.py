"""What a key of the config takes, and the sentence about one that does not exist."""

import difflib
import types
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any, Literal, Union, get_args, get_origin

from imageclf import InputError

# Groups whose nodes have any name.
FREE_GROUPS = ("callbacks", "metrics", "logger")
# Keys of a group's nodes that the program reads and does not pass on.
OWN_KEYS: Mapping[str, Mapping[str, Any]] = {"metrics": {"min_classes": int, "higher_is_better": bool}}


def unknown_key(key: str, legal: list[str]) -> InputError:
    """Return the error for a key that does not exist, naming the nearest one that does."""
    parent, _, name = key.rpartition(".")
    siblings = sorted(each.rpartition(".")[2] for each in legal if each.rpartition(".")[0] == parent)
    siblings = [each for each in siblings if not each.startswith("_")]
    # The key may be right and its node wrong.
    near = sorted(
        (each for each in legal if each.rpartition(".")[2] == name), key=lambda each: each.count(".")
    )
    near += [f"{parent}.{each}".lstrip(".") for each in difflib.get_close_matches(name, siblings, n=1)]
    place = parent or "the top level"
    hint = f"did you mean {near[0]}?" if near else f"{place} takes {', '.join(siblings) or 'no keys'}"
    own = f"; one of your own needs {key}._target_=MODULE.CLASS" if parent in FREE_GROUPS else ""
    return InputError(f"{key}: there is no such key; {hint}{own}")


def accepts(annotation: Any, value: Any) -> bool:
    """Return whether a plain value fits; an annotation that is not understood accepts everything."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return any(accepts(option, value) for option in args)
    if origin is Literal:
        return value in args
    if annotation is None or annotation is type(None):
        return value is None
    if annotation is bool:
        return isinstance(value, bool)
    if annotation in (int, float):
        numbers = (int,) if annotation is int else (int, float)
        return isinstance(value, numbers) and not isinstance(value, bool)
    if annotation is str:
        return isinstance(value, str)
    if origin in (Sequence, list, tuple):
        return isinstance(value, list | tuple) and all(accepts(args[0], each) for each in value)
    # A dataclass is made of a mapping, whose keys are checked by themselves.
    if origin in (Mapping, dict) or is_dataclass(annotation):
        return isinstance(value, Mapping)
    return True


def describe(annotation: Any) -> str:
    """Return in words what an annotation takes.

    >>> describe(float | Literal["auto"] | None)
    'a number, auto or null'
    """
    return " or ".join(", ".join(_options(annotation)).rsplit(", ", 1))


def _options(annotation: Any) -> list[str]:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return [option for each in args for option in _options(each)]
    if origin is Literal:
        # In a YAML file these two are truth values, unless they are quoted.
        return [repr(each) if each in ("on", "off") else str(each) for each in args]
    if origin in (Sequence, list, tuple):
        return [f"a list (of {describe(args[0])})"]
    if origin in (Mapping, dict) or is_dataclass(annotation):
        return ["a mapping"]
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "null"}
    return [names.get(annotation, getattr(annotation, "__name__", str(annotation)))]
