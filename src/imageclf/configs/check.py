"""Check a composed config once, before anything is built: every key by name, every own value by type."""

import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, get_type_hints

from imageclf import InputError
from imageclf.configs.annotations import accepts, describe
from imageclf.configs.instantiate import locate_target
from imageclf.configs.plain import Plain, flat_keys

# Values that the program hands to a callback, and that a config may not set.
OFFERED = ("schedule", "run_dir", "seed", "found")


class Rule(NamedTuple):
    """What a node of the config may hold.

    Args:
        types: annotation by key; None where anything goes.
        open: whether further keys are legal.
    """

    types: Mapping[str, Any]
    open: bool = False


def check(config: Plain, top: type) -> None:
    """Refuse a config with an unknown key or a value of a wrong type.

    Args:
        config: plain values.
        top: a dataclass with the legal top-level keys.

    Raises:
        InputError: the first mistake, with the nearest legal key or what the key takes.
    """
    legal = [
        key for name, rule in _rules(config, top) for key in (f"{name}.{k}".lstrip(".") for k in rule.types)
    ]
    for key, rule in _rules(config, top):
        _check_node(_select(config, key), rule, key, legal)


def unknown_key(key: str, legal: list[str]) -> InputError:
    """Return the error for a key that does not exist, naming the nearest one that does."""
    near = difflib.get_close_matches(key, legal, n=1, cutoff=0.6)
    siblings = sorted(name for name in legal if name.rpartition(".")[0] == key.rpartition(".")[0])
    hint = f"did you mean {near[0]}?" if near else f"legal here: {', '.join(siblings) or 'nothing'}"
    return InputError(f"{key}: there is no such key; {hint}")


def _rules(config: Plain, top: type) -> Iterator[tuple[str, Rule]]:
    """Yield (key of a node, its rule), outer nodes first."""
    yield "", Rule(get_type_hints(top))
    for key, rule in _own_nodes(config):
        yield key, rule
    for key in _target_nodes(config):
        yield key, _target_rule(locate_target(_select(config, key), key))


def _own_nodes(config: Plain) -> Iterator[tuple[str, Rule]]:
    """Yield the nodes that are dataclasses of ours without a `_target_`."""
    if isinstance(config.get("schedule"), dict):
        from imageclf.schedule import Phase

        yield "schedule", Rule({"phases": Mapping[str, Any]})
        for name in config["schedule"].get("phases") or {}:
            yield f"schedule.phases.{name}", Rule(get_type_hints(Phase))
    if isinstance(config.get("model"), dict):
        from imageclf.runs.options import ModelOptions

        yield "model", Rule(get_type_hints(ModelOptions))
    if isinstance(config.get("analysis"), dict):
        from imageclf.runs.options import AnalysisOptions

        yield "analysis", Rule(get_type_hints(AnalysisOptions))
    if isinstance(config.get("data"), dict):
        yield "data", _data_rule(config["data"])


def _data_rule(node: Plain) -> Rule:
    from imageclf.data import Loading, Splitting

    source = locate_target(node, "data")
    types = {"_target_": str}
    for part in (source, Splitting, Loading):
        types |= get_type_hints(part)
    return Rule(types)


def _target_nodes(config: Plain) -> Iterator[str]:
    for key in ("transforms", "trainer"):
        if isinstance(config.get(key), dict):
            yield key
    for group in ("callbacks", "logger"):
        yield from (f"{group}.{name}" for name, node in (config.get(group) or {}).items() if node is not None)
    model = config.get("model")
    if isinstance(model, dict):
        yield from (
            f"model.{name}" for name in ("head", "optimizer", "loss") if isinstance(model.get(name), dict)
        )


def _target_rule(target: Callable[..., Any]) -> Rule:
    parameters = inspect.signature(target).parameters
    ours = target.__module__.startswith("imageclf.")
    hints = get_type_hints(target.__init__ if inspect.isclass(target) else target) if ours else {}
    named = [name for name in parameters if name not in OFFERED]
    # Hydra's own keys are legal in every node that it builds.
    types = {"_target_": str, "_partial_": bool} | {name: hints.get(name) for name in named}
    return Rule(types, open=any(each.kind is each.VAR_KEYWORD for each in parameters.values()))


def _check_node(node: Any, rule: Rule, key: str, legal: list[str]) -> None:
    if not isinstance(node, dict):
        raise InputError(f"{key}={node}: give a mapping of keys")
    for name, value in node.items():
        full = f"{key}.{name}".lstrip(".")
        if name not in rule.types and not rule.open:
            raise unknown_key(full, legal)
        annotation = rule.types.get(name)
        if annotation is not None and not accepts(annotation, value):
            raise InputError(f"{full}={value}: give {describe(annotation)}")


def _select(config: Plain, key: str) -> Any:
    node: Any = config
    for name in key.split(".") if key else []:
        node = node.get(name) if isinstance(node, dict) else None
    return node


def legal_keys(config: Plain) -> list[str]:
    """Return the dotted keys of a config that is known to be right."""
    return flat_keys(config)
