"""Paths on the command line, whatever is in them."""

from collections.abc import Callable
from pathlib import Path

from imageclf.configs.short_data import quoted


def quote_paths(*keys: str) -> Callable[[list[str]], list[str]]:
    """Return what puts quotes around the paths that are given for some keys.

    Hydra's grammar has a meaning for spaces, commas, equals signs and brackets; a path has not. Lists
    `[a,b]`, null, interpolations and what is in quotes already stay what they are, and so does a sweep.

    >>> quote_paths("data")(["data=a=b, c", "data=[x 1,y]", "tta=null"])
    ["data='a=b, c'", "data=['x 1','y']", 'tta=null']
    """

    def rewrite(arguments: list[str]) -> list[str]:
        """Return the arguments with quotes."""
        if {"-m", "--multirun"} & set(arguments):
            return arguments
        return [_rewritten(each) if each.partition("=")[0] in keys else each for each in arguments]

    return rewrite


def _rewritten(argument: str) -> str:
    key, _, value = argument.partition("=")
    is_list = value.startswith("[") and value.endswith("]") and not Path(value).exists()
    if is_list:
        return f"{key}=[{','.join(map(_quoted, value[1:-1].split(',')))}]"
    return f"{key}={_quoted(value)}"


def _quoted(value: str) -> str:
    kept = value in ("", "null") or "${" in value or value.strip().startswith(("'", '"'))
    return value if kept else quoted(value.strip())
