"""The command line as Hydra takes it: flags first, and paths in quotes."""

import os
import re
from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from imageclf.configs.found.folder_layout import absolute
from imageclf.system.command_line import in_quotes, quoted

# Last names of keys that take a path.
_PATHS = frozenset(
    {"data", "root", "csv", "images", "train", "valid", "test", "weights", "cache_dir", "dir"}
    | {"run", "out", "output", "sample", "ckpt_path", "resume_sweep"}
)
# Hydra reads everything else as part of its grammar: lists, sweeps, interpolations.
_PLAIN = re.compile(r"[A-Za-z0-9_./%+:@-]*")
# A class for a node: by its own key, or in a mapping.
_TARGET = re.compile(r"(?P<node>[\w.]+)(\._target_=|=\{.*\b_target_:)")


def quote_paths(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with those paths in quotes that Hydra would misread or refuse.

    These are paths that exist, or cannot be read otherwise, with commas, brackets, umlauts and the like. What
    Hydra understands and is no path stays: `data=[a,b]`, `hydra.run.dir='runs/${seed}'`.
    """
    return [_with_quotes(each) for each in arguments]


def flags_first(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the overrides last: argparse would not know those behind a flag.

    >>> flags_first(["data=pets", "-m", "seed=1,2"])
    ['-m', 'data=pets', 'seed=1,2']
    """
    return sorted(arguments, key=_is_override)


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
    if key == "data" and value.startswith(("./", "../")) and absolute(value).exists():
        # Hydra would look for it from conf/data/, where ./stamps is the demo.
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
