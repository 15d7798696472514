"""Which classes a config of unknown origin may name: those of this package and of the libraries it uses."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import hydra.utils

from imageclf import InputError

Trust = str | Sequence[str]

ALL = "all"


class Home(NamedTuple):
    """A package whose classes may be built.

    Args:
        package: in which a class is defined (its `__module__`), from wherever it is also exported.
        base: its base class; nothing else of the package, such as a function, is built.
    """

    package: str
    base: str


_MODULE = "torch.nn.Module"
_LAYERS = (Home("torch.nn.modules", _MODULE), Home("timm.layers", _MODULE))

# By the key of the node; NAME stands for any name.
HOMES: Mapping[str, Sequence[Home]] = {
    "model.head": (*_LAYERS, Home("imageclf.model.head", _MODULE)),
    "model.loss": (*_LAYERS, Home("timm.loss", _MODULE), Home("imageclf.model.losses", _MODULE)),
    "model.optimizer": (
        Home("torch.optim", "torch.optim.Optimizer"),
        Home("timm.optim", "torch.optim.Optimizer"),
    ),
    "model.mixing": (Home("imageclf.model.mixing", "imageclf.model.Mixing"),),
    "task": (Home("imageclf.tasks", "builtins.object"),),
    "data": (
        Home("imageclf.data.sources.folder", "imageclf.data.FolderSource"),
        Home("imageclf.data.sources.csv", "imageclf.data.CsvSource"),
    ),
    "transforms": (Home("imageclf.data.views.augmentation", "imageclf.data.Augmentation"),),
    "transforms.extra": (
        Home("imageclf.data.views.auto_augment", "imageclf.data.AutoAugment"),
        Home("torchvision.transforms", "builtins.object"),
    ),
    "callbacks.NAME": (
        Home("imageclf.callbacks", "lightning.Callback"),
        Home("lightning.pytorch.callbacks", "lightning.Callback"),
    ),
    "metrics.NAME": (
        Home("torchmetrics.classification", "torchmetrics.Metric"),
        Home("imageclf.model.metrics", "torchmetrics.Metric"),
    ),
    "trainer": (Home("lightning.pytorch.trainer.trainer", "lightning.Trainer"),),
    "trainer.profiler": (Home("lightning.pytorch.profilers", "lightning.pytorch.profilers.Profiler"),),
    "logger.NAME": (Home("lightning.pytorch.loggers", "lightning.pytorch.loggers.Logger"),),
}


def check_node(node: Any, key: str, trust: Trust, source: Path) -> None:
    """Refuse a node of a config of unknown origin that would run other code, or read the environment.

    The node has plain values, nothing resolved. `trust` names further modules, or dotted names, that the
    user allows, or all.
    """
    for place, value in _values(node, key):
        if place.endswith("._target_"):
            check_target(value, place.removesuffix("._target_"), trust, source)
        elif isinstance(value, str) and "${" in value and not _is_trusted(ALL, trust):
            raise InputError(
                f"{source}: {place}={value[:100]} would read something else than this file, such as an "
                "environment variable: write its value into the file, or give trust=all if the file is yours"
            )


def check_target(name: Any, key: str, trust: Trust, source: Path) -> None:
    """Refuse a `_target_` that is neither of the packages listed above nor trusted."""
    if not isinstance(name, str):
        raise InputError(f"{source}: {key}._target_={str(name)[:100]} is not the name of a class")
    if _is_trusted(name, trust) or any(_lives_in(name, home) for home in homes_of(key)):
        return
    module = name.rpartition(".")[0] or name
    raise InputError(
        f"{source}: {key}._target_={name[:200]} is none of the classes that are built from a run directory, "
        f"which anyone may have written: give trust=[{module[:200]}] if you know that code"
    )


def homes_of(key: str) -> Sequence[Home]:
    """Return the packages that the class of a node may come from.

    >>> [home.package for home in homes_of("metrics.kappa")], homes_of("metrics.kappa.inner")
    (['torchmetrics.classification', 'imageclf.model.metrics'], ())
    """
    group, _, name = key.partition(".")
    anyone = f"{group}.NAME" if name and "." not in name else key
    return HOMES.get(key, HOMES.get(anyone, ()))


def check_saved(saved: Any, composed: Any, trust: Trust, source: Path) -> None:
    """Refuse to resume a saved config that names code or an interpolation which the user has not given.

    The user has given what the command line composes, and any saved value that equals it.

    Arguments as in `check_node`.
    """
    own = dict(_values(composed, ""))
    for place, value in _values(saved, ""):
        if place not in own or own[place] != value:
            key, _, name = place.rpartition(".")
            check_node({name: value}, key, trust, source)


def targets_of(config: Any) -> list[tuple[str, Any]]:
    """Return (key, target) of each node with a `_target_`, at any depth."""
    values = [(f".{place}", value) for place, value in _values(config, "")]
    return [
        (place.removesuffix("._target_").lstrip("."), value)
        for place, value in values
        if place.endswith("._target_")
    ]


def foreign_targets(config: Any) -> list[str]:
    """Return the targets of a config that only `trust` allows."""
    return sorted(
        {
            str(name)
            for key, name in targets_of(config)
            if not any(_lives_in(str(name), home) for home in homes_of(key))
        }
    )


def own_modules(config: Mapping[str, Any]) -> list[str]:
    """Return the modules that `trust` has to name before the network of a run can be built."""
    model = config.get("model")
    parts = model if isinstance(model, Mapping) else {}
    network = {"model": {part: parts.get(part) for part in ("backbone", "head")}}
    return sorted({name.rpartition(".")[0] or name for name in foreign_targets(network)})


def _values(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    """Yield (key, value) of every plain value, at any depth, lists included."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            # Resolving a config also resolves interpolations in keys.
            yield from _values(value, f"{key}.{name}".lstrip("."))
            if isinstance(name, str) and "${" in name:
                yield f"{key}.{name}", name
    elif isinstance(node, list | tuple | set):
        for index, value in enumerate(node):
            yield from _values(value, f"{key}.{index}".lstrip("."))
    else:
        yield key, node


def _is_trusted(name: str, trust: Trust) -> bool:
    allowed = [trust] if isinstance(trust, str) else trust
    return any(each == ALL or name == each or name.startswith(f"{each}.") for each in allowed)


def _lives_in(name: str, home: Home) -> bool:
    """Return whether a dotted name is a class of a home, importing nothing outside its package."""
    module, _, attribute = name.rpartition(".")
    root = home.package.partition(".")[0]
    # Importing runs code: only modules of the home's package, or of one above it, are imported.
    if module.partition(".")[0] != root or not all(part.isidentifier() for part in name.split(".")):
        return False
    if not (_within(module, home.package) or _within(home.package, module)):
        return False
    try:
        # Only a module and a name in it: a walk over attributes leads from any module to `os`.
        found = getattr(import_module(module), attribute, None)
    except ImportError:
        return False
    return (
        inspect.isclass(found)
        and issubclass(found, hydra.utils.get_class(home.base))
        and _within(found.__module__, home.package)
        and hydra.utils.get_object(name) is found
    )


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")
