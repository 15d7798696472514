"""Read files of a run directory that anyone may have written: small and plain, or refused in one sentence.

A file that is missing, too large or damaged, or holds something else than it should, raises InputError.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from omegaconf._utils import get_yaml_loader

from imageclf import InputError
from imageclf.system.files import read_limited
from imageclf.system.words import reason_of

# A config has some 10 kB; one with a class weight for each of 20,000 classes has half a megabyte.
MAX_CONFIG_BYTES = 1_000_000
# summary.json lists the classes.
MAX_JSON_BYTES = 16_000_000
MAX_DEPTH = 50
MAX_NODES = 50_000
MAX_DIGITS = 30

T = TypeVar("T")


def read_config(path: Path) -> dict[str, Any]:
    """Return a saved config as plain values, with every `${...}` as it is written.

    Raises:
        InputError: the file is missing, too large, damaged, or has YAML aliases, which our configs never
            have: a few lines of them can expand to gigabytes.
    """
    return _read(path, MAX_CONFIG_BYTES, _parse_yaml)


def read_object(path: Path) -> dict[str, Any]:
    """Return a JSON object."""
    return _read(path, MAX_JSON_BYTES, _parse_json)


def read_texts(path: Path) -> list[str]:
    """Return a YAML list of texts."""
    content = _parsed(path, MAX_CONFIG_BYTES, _parse_yaml)
    if not isinstance(content, list) or not all(isinstance(each, str) for each in content):
        raise InputError(f"{path} is not a list of texts")
    return content


def read_if_there(path: Path, read: Callable[[Path], T], default: T) -> T:
    """Return what is in a file that a run can do without, or the default where there is no file."""
    if not path.is_file():
        return default
    try:
        return read(path)
    except InputError as error:
        raise InputError(f"{error}: remove it, or run again") from None


def _read(path: Path, limit: int, parse: Callable[[str], Any]) -> dict[str, Any]:
    content = _parsed(path, limit, parse)
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a mapping")
    odd = next((key for key in content if not isinstance(key, str)), None)
    if odd is not None:
        raise InputError(f"{path}: the key {odd!r} is not a text")
    return content


def _parsed(path: Path, limit: int, parse: Callable[[str], T]) -> T:
    try:
        return parse(read_limited(path, limit).decode("utf-8"))
    except InputError as error:
        message = str(error)
        raise InputError(message if message.startswith(str(path)) else f"{path}: {message}") from None
    # Parsers raise all kinds of errors for hostile input: dates, numbers of a million digits, deep nesting.
    except Exception as error:
        raise InputError(f"{path} is damaged ({reason_of(error)})") from None


def _parse_json(text: str) -> Any:
    # A number of a million digits takes Python minutes; a float cannot hold one of more than 309.
    return json.loads(text, parse_int=_whole_number)


def _whole_number(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def _parse_yaml(text: str) -> Any:
    _check_events(text)
    # OmegaConf's own loader: numbers such as 1e-3, and no key twice. It resolves nothing.
    return yaml.load(text, Loader=get_yaml_loader())


def _check_events(text: str) -> None:
    """Check size and depth without building anything."""
    depth = nodes = 0
    for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.AliasEvent):
            raise InputError(f"the alias *{event.anchor} stands for another part: write that part out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        nodes += isinstance(event, yaml.NodeEvent)
        if depth > MAX_DEPTH or nodes > MAX_NODES:
            raise InputError(f"more than {MAX_DEPTH} levels or {MAX_NODES:,} values: no config has so many")
