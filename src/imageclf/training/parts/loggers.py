"""The loggers of a run: built, opened before its first step, closed at its end, the same after a kill."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, MLFlowLogger, WandbLogger

from imageclf import InputError
from imageclf.analysis.run_settings import flatten
from imageclf.configs import instantiate, read_config
from imageclf.configs.instantiate import locate_target
from imageclf.configs.saved.numbers import read_json
from imageclf.system.errors import Preempted
from imageclf.system.files import write_json
from imageclf.system.words import first_line
from imageclf.training.differences import is_free

# The argument that is a run's id on the server; other loggers go on by the folder that they write into.
_ID = {WandbLogger: "id", MLFlowLogger: "run_id"}
_FILE = "loggers.json"


def build_loggers(nodes: Mapping[str, Mapping[str, Any]], run_dir: Path) -> dict[str, Logger]:
    """Return the loggers by name; one that was open before in this run directory gets its id of then.

    An id in a node is kept.

    Raises:
        InputError: a package is missing, a node has a mistake, or a logger refuses where it is to write.
    """
    ids = read_json(run_dir / _FILE)
    return {name: _build(node, f"logger.{name}", ids.get(name)) for name, node in nodes.items()}


def _build(node: Mapping[str, Any], key: str, found: object) -> Logger:
    try:
        logger: Logger = instantiate(with_id(node, key, found), key)
    except InputError:
        raise
    except Exception as error:
        # MLflow, for one, has its own exceptions.
        raise InputError(f"{key} cannot be built: {first_line(error)}") from error
    return logger


def with_id(node: Mapping[str, Any], key: str, found: object) -> dict[str, Any]:
    """Return a logger's node with the id that was found, unless it has its own or takes none."""
    target = locate_target(node, key)
    name = next((_ID[kind] for kind in _ID if isinstance(target, type) and issubclass(target, kind)), None)
    if name is None or not isinstance(found, str) or node.get(name) is not None:
        return dict(node)
    return {**node, name: found}


@contextmanager
def opened(loggers: Mapping[str, Logger], run_dir: Path) -> Iterator[None]:
    """Open loggers, tell them the config, remember their ids, and close them whatever happens.

    Only the first rank logs: on the others `loggers` is empty.

    Raises:
        InputError: a logger cannot be opened, for instance without a login.
    """
    settings = settings_of(run_dir) if loggers else {}
    with ExitStack() as closing:
        for name, logger in loggers.items():
            closing.enter_context(_open(f"logger.{name}", logger, settings))
        ids = {name: logger.version for name, logger in loggers.items() if isinstance(logger, tuple(_ID))}
        if ids:
            write_json(run_dir / _FILE, ids)
        yield


@contextmanager
def _open(key: str, logger: Logger, settings: Mapping[str, object]) -> Iterator[None]:
    """Open a logger, and end a run of Weights & Biases that was begun here: Lightning ends the others."""
    begun = isinstance(logger, WandbLogger) and getattr(sys.modules.get("wandb"), "run", None) is None
    try:
        logger.log_hyperparams(dict(settings))
    except Exception as error:
        raise InputError(f"{key} cannot be opened: {first_line(error)}") from error
    # What ends the block early marks the run as failed on the server.
    code = 1
    try:
        yield
        code = 0
    except Preempted:
        if begun:
            logger.experiment.mark_preempting()  # type: ignore[attr-defined]
        raise
    finally:
        if begun:
            logger.experiment.finish(exit_code=code)  # type: ignore[attr-defined]


def settings_of(run_dir: Path) -> dict[str, object]:
    """Return the config of a run by dotted key, as written, without what may change when it goes on."""
    config = flatten(read_config(run_dir / "config.yaml"))
    return {key: value for key, value in config.items() if not is_free(key)}
