"""The command line as Hydra takes it: flags first, and paths in quotes."""

import os
import re
from collections.abc import Mapping, Sequence
from numbers import Number
from pathlib import Path

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from imageclf import InputError
from imageclf.configs.found.folder_layout import absolute
from imageclf.system.command_line import in_quotes, quoted
from imageclf.system.printable import written

# Last names of keys that take a path.
_PATHS = frozenset(
    {"data", "root", "csv", "images", "train", "valid", "test", "weights", "cache_dir", "dir"}
    | {"run", "out", "output", "sample", "ckpt_path", "resume_sweep"}
)
# Hydra reads everything else as part of its grammar: lists, sweeps, interpolations.
_PLAIN = re.compile(r"[A-Za-z0-9_./%+:@-]*")
_WORD = re.compile(r"[A-Za-z_./][A-Za-z0-9_./-]*")
# Folders that Hydra makes; a shell leaves the ~ behind a key with dots as it is, and so does Hydra.
_HOME = re.compile(r"^(hydra\.(?:run|sweep)\.dir=['\"]?)~(?=/|$)")
# A class for a node: by its own key, or in a mapping.
_TARGET = re.compile(r"(?P<node>[\w.]+)(\._target_=|=\{.*\b_target_:)")


def quote_paths(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with those paths in quotes that Hydra would misread or refuse.

    These are paths that exist, or cannot be read otherwise, with commas, brackets, umlauts and the like. What
    Hydra understands and is no path stays: `data=[a,b]`, `hydra.run.dir='runs/${seed}'`.
    """
    return [_with_quotes(_HOME.sub(lambda found: f"{found[1]}{Path.home()}", each)) for each in arguments]


def flags_first(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the overrides last: argparse would not know those behind a flag.

    >>> flags_first(["data=pets", "-m", "seed=1,2"])
    ['-m', 'data=pets', 'seed=1,2']
    """
    return sorted(arguments, key=_is_override)


def typed(key: str, value: object) -> str:
    """Return KEY=VALUE as Hydra takes it, for a value of Python: a text stays a text, whatever it looks like.

    >>> typed("seed", 3), typed("lr", [1e-4, None]), typed("tags", ["a,b", "null"]), typed("x", {"a": True})
    ('seed=3', 'lr=[0.0001,null]', "tags=['a,b','null']", 'x={a:true}')

    Raises:
        InputError: the value is none that a config can hold.
    """
    if isinstance(value, str | os.PathLike) and _is_beside(key, os.fspath(value)):
        value = os.path.normpath(absolute(os.fspath(value)))
    return f"{key}={_of_python(key, value)}"


def _of_python(key: str, value: object) -> str:
    if value is None or isinstance(value, bool):
        return written(value)
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, Mapping):
        odd = next((str(name) for name in value if not _WORD.fullmatch(str(name))), None)
        if odd is not None:
            raise InputError(
                f"{key}: Hydra takes no key such as {odd!r} here: give the mapping in a YAML file"
            )
        pairs = (f"{name}:{_of_python(key, inner)}" for name, inner in value.items())
        return f"{{{','.join(pairs)}}}"
    if isinstance(value, list | tuple):
        return f"[{','.join(_of_python(key, inner) for inner in value)}]"
    if isinstance(value, str | os.PathLike):
        return _text(os.fspath(value))
    raise InputError(
        f"{key}: a config cannot hold a {type(value).__name__}: give a text, a number, True or False, None, "
        "a list or a dict"
    )


def _text(value: str) -> str:
    """Return a text that Hydra does not take for a number or for syntax."""
    return value if _WORD.fullmatch(value) and yaml.safe_load(value) == value else quoted(value)


def _is_beside(key: str, value: str) -> bool:
    """Return whether a path starts here: Hydra would look in conf/data/, where ./stamps is the demo."""
    return key == "data" and value.startswith(("./", "../")) and absolute(value).exists()


def with_own_nodes(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with ++ before the keys of each node whose `_target_` is among them.

    Hydra alone would want a + before what no YAML file has: a callback of the user's own, a key that has its
    default in a signature. Whether the class takes the keys is checked with all others.

    >>> with_own_nodes(["callbacks.mine._target_=mine.Log", "callbacks.mine.every=2", "seed=1"])
    ['++callbacks.mine._target_=mine.Log', '++callbacks.mine.every=2', 'seed=1']
    """
    found = (_TARGET.match(each) for each in arguments)
    nodes = {each["node"] for each in found if each and not each["node"].startswith("hydra.")}
    # Not data=PATH, which chooses an option of a group.
    starts = tuple(f"{node}{end}" for node in nodes for end in (".", "={"))
    return [f"++{each}" if each.startswith(starts) else each for each in arguments]


def _is_override(argument: str) -> bool:
    return argument.startswith("~") or ("=" in argument and not argument.startswith("-"))


def _with_quotes(argument: str) -> str:
    key, _, value = argument.partition("=")
    if _is_beside(key, value):
        return f"{key}={quoted(os.path.normpath(absolute(value)))}"
    if key.rpartition(".")[2].lstrip("+") not in _PATHS or _PLAIN.fullmatch(value):
        return argument
    if absolute(value).exists():
        return f"{key}={quoted(value)}"
    if value.startswith("[") and value.endswith("]") and not _is_readable(argument):
        return f"{key}=[{','.join(quoted(each.strip()) for each in value[1:-1].split(','))}]"
    # Of the folder of a run or sweep there is no sweep.
    is_whole = key.startswith("hydra.") and not value.startswith(("'", '"'))
    return f"{key}={in_quotes(value)}" if is_whole or not _is_readable(argument) else argument


def _is_readable(argument: str) -> bool:
    try:
        OverridesParser.create().parse_override(argument)
    except HydraException:
        return False
    return True
