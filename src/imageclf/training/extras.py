"""Labels that a run is found by, and its config as a tree."""

import io
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from imageclf import InputError
from imageclf.configs import read_config
from imageclf.system.files import write_text
from imageclf.system.printable import cell, is_terminal, written
from imageclf.training.run_config import RunConfig

log = logging.getLogger(__name__)


def check_tags(config: RunConfig) -> None:
    """Refuse a run without tags where `extras.enforce_tags` requires them."""
    if config.extras.enforce_tags and not config.tags:
        raise InputError("tags=[]: extras.enforce_tags asks for some; give tags=[baseline,resnet]")


def labels_of(config: RunConfig) -> dict[str, str | None]:
    """Return the labels that a run is found by, as text or None."""
    # summary.json is flat.
    tags = ", ".join(config.tags) or None
    return {"experiment": config.experiment, "task_name": config.task_name, "tags": tags}


def announce(run_dir: Path, config: RunConfig) -> None:
    """Log the tags, write the run's config as a tree into config_tree.log, and print it if asked to."""
    if config.tags:
        log.info("tags: %s", ", ".join(config.tags))
    # As saved: values from the environment stay names.
    tree = config_tree(read_config(run_dir / "config.yaml"))
    text = tree_text(tree)
    write_text(run_dir / "config_tree.log", text)
    # In a file or a pipe rich would break lines at 80 columns.
    if config.extras.print_config and is_terminal(sys.stdout):
        Console().print(tree)
    elif config.extras.print_config:
        print(text, end="")


def config_tree(config: Mapping[str, Any]) -> Tree:
    """Return a config as a tree: a branch per group, below it a line per value or per node of values."""
    tree = Tree("config", guide_style="dim")
    for name, node in config.items():
        branch = tree.add(_line(name, node if not isinstance(node, Mapping) else {}))
        for key, value in node.items() if isinstance(node, Mapping) else ():
            _add(branch, str(key), value)
    return tree


def tree_text(tree: Tree) -> str:
    """Return a tree as plain text, with lines as long as they are."""
    buffer = io.StringIO()
    # In a notebook rich would show the tree there instead.
    Console(file=buffer, width=10_000, no_color=True, force_jupyter=False).print(tree)
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def _add(tree: Tree, name: str, node: Any) -> None:
    inner = node.values() if isinstance(node, Mapping) else ()
    if not any(isinstance(value, Mapping) for value in inner):
        tree.add(_line(name, node))
        return
    branch = tree.add(cell(name))
    for key, value in node.items():
        _add(branch, str(key), value)


def _line(name: str, value: Any) -> Text:
    if isinstance(value, Mapping):
        pairs = "  ".join(f"{key}={written(inner)}" for key, inner in value.items())
        return cell(f"{name}  {pairs}".rstrip())
    return cell(f"{name}={written(value)}")
