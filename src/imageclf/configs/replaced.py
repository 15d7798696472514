"""What a replaced `_target_` leaves behind: keys that were made for the class before it."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hydra._internal.defaults_list import create_defaults_list
from hydra.core.config_loader import ConfigLoader
from omegaconf import DictConfig, OmegaConf, open_dict

from imageclf import InputError
from imageclf.configs.found.source import FOUND
from imageclf.configs.instantiate import locate_target, parameters_of
from imageclf.configs.keys import OWN_KEYS
from imageclf.configs.plain import select
from imageclf.configs.saved.trust import targets_of

log = logging.getLogger(__name__)

Given = Mapping[str, Any]
"""What one file or override gives: its value by dotted place, those of inner nodes among them."""


def drop_replaced(cfg: DictConfig, hydra: Any, loader: ConfigLoader) -> None:
    """Remove from a config the keys of a `_target_` that a file or the command line has replaced.

    `model.loss._target_=mine.Loss` leaves label_smoothing of the loss before it, which mine.Loss may not
    take. Only what came along with the old target goes; a key that was given by itself stays, and is refused
    where the config is checked.

    The loader has composed the config, which is changed; `hydra` is Hydra's own node of it.
    """
    plain: Any = OmegaConf.to_container(cfg, resolve=False)
    refused = dict(_refused({name: node for name, node in plain.items() if name != "hydra"}))
    # The backbone is a class of the user's own, and the weights are those of a name of timm.
    has_class = isinstance(select(plain, "model.backbone"), dict)
    names_weights = has_class and select(plain, "model.weights") in ("hub", "packaged")
    if not refused and not names_weights:
        return
    given = _given(loader, hydra.job.config_name, [*hydra.overrides.hydra, *hydra.overrides.task])
    with open_dict(cfg):
        for node, keys in refused.items():
            _drop(cfg, node, left_behind(given, node, keys))
        places = [_last(given, key) for key in ("model.weights", "model.backbone._target_")]
        if names_weights and places[0] < places[1]:
            _start_as_built(cfg)


def left_behind(given: Sequence[Given], node: str, keys: Iterable[str]) -> list[str]:
    """Return those keys of a node that came only along with a `_target_` which was replaced later.

    `given` is in the order in which files and command line are merged, and `node` a dotted key.

    >>> files = [{"loss._target_": "A", "loss.a": 1}, {"loss.b": 2}, {"loss._target_": "B", "loss.c": 3}]
    >>> left_behind(files, "loss", ["a", "b", "c"])
    ['a']
    """
    target = f"{node}._target_"
    last = next((each[target] for each in reversed(given) if target in each), None)

    def is_left(key: str) -> bool:
        """Return whether every file that gives the key gives another target with it."""
        givers = [each for each in given if f"{node}.{key}" in each]
        return bool(givers) and all(each.get(target, last) != last for each in givers)

    return [key for key in keys if is_left(key)]


def _refused(plain: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Yield (node, keys that its `_target_` does not take) of the nodes that have such keys."""
    for node, name in targets_of(plain):
        values = select(dict(plain), node)
        # How the pictures are split and loaded stands beside the keys of their source.
        if not isinstance(values, dict) or (node == "data" and str(name).startswith("imageclf.")):
            continue
        try:
            parameters = parameters_of(locate_target(values, node))
        # It is refused where the config is checked.
        except (InputError, ValueError):
            continue
        taken = {*parameters, *OWN_KEYS.get(node.partition(".")[0], ())}
        others = [key for key in values if key not in taken and not key.startswith("_")]
        if others and not any(each.kind is each.VAR_KEYWORD for each in parameters.values()):
            yield node, others


def _given(loader: Any, config_name: str, overrides: Sequence[str]) -> list[Given]:
    """Return what each file of a composition gives, and last what the command line does."""
    # As ConfigLoaderImpl.load_configuration does, which keeps neither the files nor their order.
    parsed, files = loader._parse_overrides_and_create_caching_repo(config_name, list(overrides))
    listed = create_defaults_list(files, config_name, parsed, prepend_hydra=True, skip_missing=False)
    given: list[dict[str, Any]] = []
    for default in listed.defaults:
        loaded = loader._load_single_config(default, files)
        places = dict(_places(OmegaConf.to_container(loaded.config, resolve=False), ""))
        # What data=PATH stands for belongs to the source that it extends.
        given = [*given[:-1], given[-1] | places] if loaded.provider == FOUND else [*given, places]
    typed = [each for each in listed.config_overrides if not each.is_delete()]
    pairs = [(each.key_or_group, each.value()) for each in typed]
    return [*given, {place: value for pair in pairs for place, value in [pair, *_places(pair[1], pair[0])]}]


def _places(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield (dotted place, value) of all that a mapping holds, inner mappings among them."""
    for name, value in node.items() if isinstance(node, Mapping) else ():
        place = f"{key}.{name}".lstrip(".")
        yield place, value
        yield from _places(value, place)


def _drop(cfg: DictConfig, node: str, keys: Sequence[str]) -> None:
    values = OmegaConf.select(cfg, node)
    for key in keys:
        del values[key]
    if keys:
        log.info(
            "%s._target_=%s takes no %s: what belongs to the class before it is left out",
            node,
            values._target_,
            ", ".join(keys),
        )


def _last(given: Sequence[Given], key: str) -> int:
    """Return which file, or the command line, was the last to give a key; -1: none."""
    return max((place for place, each in enumerate(given) if key in each), default=-1)


def _start_as_built(cfg: DictConfig) -> None:
    log.info(
        "model.weights=%s is of another backbone: none, so the body starts as %s makes it",
        cfg.model.weights,
        cfg.model.backbone._target_,
    )
    cfg.model.weights = "none"
