"""In which values a command differs from the config of the run that it is to go on with."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

from imageclf.configs.plain import Plain, select
from imageclf.system.printable import written

# How many ranks there are: with data.batch_size, which is per rank, their number must stay the same.
RANKS = ("trainer.devices", "trainer.num_nodes", "trainer.strategy")
# What may differ when a run is resumed: it does not change what is computed.
FREE = (
    "ckpt_path",
    "cluster",
    "extras",
    "tags",
    *RANKS,
    "trainer.log_every_n_steps",
    "trainer.enable_progress_bar",
    "callbacks.checkpoint.every_n_minutes",
    "callbacks.checkpoint.every_n_batches",
    "logger",
    "data.num_workers",
    "data.cache_dir",
    "data.cache_gb",
    "optimized_metric",
    "trust",
)
# Keys that runs of earlier versions lack, with the values that those versions behaved by.
_ADDED: Final[Mapping[str, Any]] = {
    "lr_scaling": "none",
    "lr_batch_size": 64,
    "budget": None,
    "task": {"_target_": "imageclf.tasks.Multiclass"},
    "trainer.benchmark": None,
    "trainer.sync_batchnorm": False,
    "data.channels": "auto",
    "data.bits": "auto",
    "data.global_batch_size": None,
    "data.classes": None,
    "data.relabel": None,
    "data.ignore": None,
    "analysis.sample": None,
    **{f"schedule.phases.*.{key}": None for key in ("ema", "pct_start", "div", "div_final", "moms")},
}
# The same of config groups, by their options.
ADDED_GROUPS: Final[Mapping[str, str]] = {"task": "multiclass"}
# What earlier versions had as default, and what it is now: a run goes on with the value that it has.
_NEW_DEFAULTS: Final = {"model.channels_last": (True, "auto")}
_MISSING: Final = object()


class Change(NamedTuple):
    """A value that differs from that of a saved config.

    Args:
        key: dotted.
        was: in the saved config; None: it has none.
        now: in the command's config; None: it has none.
    """

    key: str
    was: str | None
    now: str | None

    def __str__(self) -> str:
        """Return both values."""
        was = f"no {self.key}" if self.was is None else f"{self.key}={self.was}"
        return f"{was} (now {'none' if self.now is None else self.now})"


def contradictions(saved: Plain, new: Plain, overrides: list[str]) -> list[Change]:
    """Return the values in which overrides differ from the saved config, each once.

    Overrides are as typed, such as `seed=1` or `+trainer.precision=bf16-mixed`; `new` is composed with
    them.
    """
    keys = [key for key in map(key_of, overrides) if not is_free(key)]
    changes = [each for key in keys for each in _changes(_at(saved, key), _at(new, key), key)]
    return list(dict.fromkeys(changes))


def with_added(saved: Plain) -> Plain:
    """Return a saved config with the keys that its version lacked, at the values that it behaved by."""
    config = deepcopy(saved)
    for key, value in _ADDED.items() if saved else ():
        *parents, name = key.split(".")
        for node in _nodes(config, parents):
            node.setdefault(name, value)
    return config


def is_free(key: str) -> bool:
    """Return whether a key, or the node that it is in, may differ when a run is resumed.

    >>> is_free("cluster.minutes"), is_free("data.cache_dir"), is_free("data.cache"), is_free("trainer")
    (True, True, False, False)
    """
    return any(key == each or key.startswith(f"{each}.") for each in FREE)


def key_of(override: str) -> str:
    """Return the dotted key of an override as typed.

    >>> key_of("+trainer.precision=bf16-mixed"), key_of("model/head=linear")
    ('trainer.precision', 'model.head')
    """
    return override.lstrip("+~").partition("=")[0].partition("@")[0].replace("/", ".")


def _changes(was: Any, now: Any, key: str) -> Iterator[Change]:
    if was is _MISSING:
        was = next((value for added, value in _ADDED.items() if fnmatchcase(key, added)), _MISSING)
    if key in FREE or was == now or _NEW_DEFAULTS.get(key) == (was, now):
        return
    if not (isinstance(was, dict) and isinstance(now, dict)):
        yield Change(key, _shown(was), _shown(now))
        return
    for name in dict.fromkeys([*was, *now]):
        yield from _changes(was.get(name, _MISSING), now.get(name, _MISSING), f"{key}.{name}")


def _nodes(node: Any, parents: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the mappings at a path; `*` stands for each name."""
    if not isinstance(node, dict):
        return
    if not parents:
        yield node
        return
    first, *others = parents
    for name in list(node) if first == "*" else [first]:
        yield from _nodes(node.get(name), others)


def _at(config: Plain, key: str) -> Any:
    parent, _, name = key.rpartition(".")
    node = select(config, parent)
    return node.get(name, _MISSING) if isinstance(node, dict) else _MISSING


def _shown(value: Any) -> str | None:
    if value is _MISSING:
        return None
    return "{...}" if isinstance(value, dict) else written(value)
