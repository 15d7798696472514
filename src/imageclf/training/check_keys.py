"""Check a composed config before anything is built: every key by name, every value of ours by type."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from typing import Any, NamedTuple, TypeVar, get_type_hints

from omegaconf import DictConfig

from imageclf import InputError
from imageclf.configs.instantiate import locate_target, parameters_of
from imageclf.configs.keys import FREE_GROUPS, OWN_KEYS, accepts, describe, unknown_key
from imageclf.configs.options import AnalysisOptions, ClusterOptions, Extras, ModelOptions, Offered
from imageclf.configs.plain import Plain, select, to_plain
from imageclf.data import Caching, ClassList, Loading, Splitting
from imageclf.schedule import Phase, check_names
from imageclf.schedule.ranges import check_range
from imageclf.schedule.size import PictureSize, read_size
from imageclf.system.printable import written

# Our nodes without a `_target_`, and those with one; nodes of FREE_GROUPS, which have any name, come on top.
OWN_NODES = {"model": ModelOptions, "analysis": AnalysisOptions, "extras": Extras, "cluster": ClusterOptions}
TARGETS = (
    "task",
    "transforms",
    "trainer",
    "transforms.extra",
    "trainer.profiler",
    *(f"model.{name}" for name in ("backbone", "head", "optimizer", "loss", "mixing")),
)
# Values that the program passes to what it builds (`Offered`: to callbacks); a config may not set them.
OFFERED = ("in_features", "num_classes", "num_labels", "params")
# And those of a single node.
OFFERED_TO = {"model.loss": ("weight",), "task": ("thresholds",)}
# Values that the program computes with, of classes of others, which check them only when they are built.
COMPUTED_WITH: Mapping[str, Mapping[str, Any]] = {
    "trainer": {"num_nodes": int | None, "accumulate_grad_batches": int | None},
    "model.optimizer": {"weight_decay": float},
}


class Rule(NamedTuple):
    """What a node of the config may hold.

    Args:
        types: annotation by key; None where anything goes.
        required: keys that must be there.
        open: whether further keys are legal.
        offered: keys that the program sets itself.
    """

    types: Mapping[str, Any]
    required: tuple[str, ...] = ()
    open: bool = False
    offered: tuple[str, ...] = ()


T = TypeVar("T")


def checked(cfg: DictConfig, options: type[T]) -> T:
    """Return the composed config of a command as its dataclass.

    Raises:
        InputError: as `check`, or a value is out of range.
    """
    config = to_plain(cfg)
    check(config, options)
    return options(**config)


def check(config: Plain, top: type) -> None:
    """Refuse a config with an unknown key or a value of a wrong type.

    The legal keys of the top level are the fields of the dataclass `top`.
    """
    # Outer nodes first: a mistake is reported where it begins.
    _check_nodes(config, {"": _rule_of(top), **dict(_own_nodes(config)), **_target_rules(config)})


def check_built(config: Plain) -> None:
    """Refuse such mistakes in the nodes with a `_target_`, of a config or of a part of one."""
    _check_nodes(config, _target_rules(config))


def _check_nodes(config: Plain, rules: Mapping[str, Rule]) -> None:
    legal = [f"{name}.{key}".lstrip(".") for name, rule in rules.items() for key in rule.types]
    for key, rule in rules.items():
        _check_node(select(config, key), rule, key, legal)


def _own_nodes(config: Plain) -> Iterator[tuple[str, Rule]]:
    """Yield the nodes that are dataclasses of ours without a `_target_`."""
    if isinstance(config.get("schedule"), dict):
        yield "schedule", Rule({"phases": Mapping[str, Any]}, required=("phases",))
        phases = config["schedule"].get("phases")
        # A dot in one would be taken for the next key.
        check_names(phases if isinstance(phases, dict) else ())
        for name in phases or {}:
            yield f"schedule.phases.{name}", _rule_of(Phase)
    for key, options in OWN_NODES.items():
        if isinstance(config.get(key), dict):
            yield key, _rule_of(options)
    if isinstance(config.get("data"), dict):
        yield "data", _data_rule(config["data"])


def _data_rule(node: Plain) -> Rule:
    source = locate_target(node, "data")
    if is_dataclass(source):
        return _rule_of(source, ClassList, Splitting, Loading, Caching, _target_=str)
    # A class of the user's own, whose values it checks itself; it may have a key like those of a class list.
    shared, own = _rule_of(Splitting, Loading, Caching, _target_=str), _target_rule(source, "data")
    return shared._replace(types={**_rule_of(ClassList).types, **own.types, **shared.types})


def _rule_of(*classes: Any, **more: Any) -> Rule:
    """Return the rule of a node that holds the fields of dataclasses, and more keys by annotation."""
    types = {name: hint for each in classes for name, hint in _hints(each).items()}
    required = [field.name for each in classes for field in fields(each) if field.default is MISSING]
    return Rule(types | more, tuple(required))


# A sweep asks for the same ones a thousand times, and reading an annotation takes long.
_hints = cache(get_type_hints)


def _target_rules(config: Plain) -> dict[str, Rule]:
    """Return the rules of the nodes with a `_target_`."""
    keys = [key for key in TARGETS if isinstance(select(config, key), dict)]
    for group in FREE_GROUPS:
        keys += [f"{group}.{name}" for name, node in (config.get(group) or {}).items() if node is not None]
    return {key: _target_rule(locate_target(select(config, key), key), key) for key in keys}


def _target_rule(target: Callable[..., Any], key: str) -> Rule:
    parameters = parameters_of(target)
    ours = target.__module__.startswith("imageclf.")
    own = _hints(target.__init__ if inspect.isclass(target) else target) if ours else {}
    hints = own or COMPUTED_WITH.get(key, {})
    passed = (*OFFERED, *Offered._fields, *OFFERED_TO.get(key, ()))
    offered = tuple(name for name in passed if name in parameters)
    # Hydra's own keys are legal in every node that it builds.
    types: dict[str, Any] = {"_target_": str, "_partial_": bool}
    types |= {name: hints.get(name) for name in parameters if name not in offered}
    types |= OWN_KEYS.get(key.partition(".")[0], {})
    is_open = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
    return Rule(types, open=is_open, offered=offered)


def _check_node(node: Any, rule: Rule, key: str, legal: list[str]) -> None:
    if not isinstance(node, dict):
        raise InputError(f"{key}={written(node)}: give a mapping of keys")
    for name, value in node.items():
        full = f"{key}.{name}".lstrip(".")
        if name in rule.offered or (name not in rule.types and not rule.open):
            raise unknown_key(full, legal)
        annotation = rule.types.get(name)
        if annotation is not None and not accepts(annotation, value):
            raise InputError(f"{full}={written(value)}: give {describe(annotation)}")
        check_range(full, value)
        if annotation == PictureSize:
            read_size(value, full)
    for name in rule.required:
        if name not in node:
            full = f"{key}.{name}".lstrip(".")
            raise InputError(f"{full} is missing: give it a value, or do not remove it")
