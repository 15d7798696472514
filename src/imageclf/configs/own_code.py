"""Find modules of the user's own: in the folder where a command was started, and in that of --config-dir.

The folder joins Python's path only once a `_target_` names a module in it, and behind all installed packages:
who trains on, or predicts with, what lies in a stranger's folder does not run the code that lies there, too.
"""

import importlib
import json
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from hydra._internal.utils import get_args_parser

# Processes that a command starts inherit it: ranks, jobs of a sweep, and those of SLURM.
_VARIABLE = "IMAGECLF_CODE_FOLDERS"


def remember_folders(arguments: Sequence[str]) -> None:
    """Remember where the user's own code may be, for this process and those that it starts."""
    given, _ = get_args_parser().parse_known_args(list(arguments))
    folders = [Path.cwd(), *([] if given.config_dir is None else [Path(given.config_dir).absolute()])]
    os.environ[_VARIABLE] = json.dumps([str(each) for each in folders])


def code_folders() -> list[Path]:
    """Return the folders in which code of the user's own is looked for."""
    return [Path(each) for each in json.loads(os.environ.get(_VARIABLE, "null")) or [str(Path.cwd())]]


def make_importable(name: str) -> None:
    """Append the folder that holds the module of a dotted name to Python's path, if nothing else has it.

    The user has named it, or trusts it.
    """
    top = name.partition(".")[0]
    folder = _folder_of(top)
    if folder is not None and not _is_installed(top):
        sys.path.append(str(folder))
        importlib.invalidate_caches()


def why_not(name: str, error: Exception) -> str:
    """Return in words why a dotted name cannot be imported, and where it was looked for."""
    top, cause = name.partition(".")[0], error.__cause__
    if top.isidentifier() and not _is_installed(top):
        places = " or ".join(map(str, code_folders()))
        return (
            f"no installed package is called {top}, and there is no {top}.py in {places}; start the command "
            "in the folder of your code, give --config-dir=FOLDER, or install the project that has it"
        )
    module = _innermost(name)
    if isinstance(cause, AttributeError | ModuleNotFoundError) and module is not None:
        rest = name.removeprefix(f"{module.__name__}.")
        return f"{_place(module)} has no {rest}{_hidden(top, module)}"
    # It is there, and fails: what it raises is of use, and what Hydra makes of that is not.
    return " ".join(f"{type(cause or error).__name__}: {cause or error}".split())


def _innermost(name: str) -> ModuleType | None:
    """Return the module furthest down a dotted name that could be imported."""
    parts = name.split(".")
    names = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((sys.modules[each] for each in names if each in sys.modules), None)


def _place(module: ModuleType) -> str:
    return getattr(module, "__file__", None) or f"the module {module.__name__}"


def _hidden(top: str, module: ModuleType) -> str:
    """Return what to do where another module goes before the user's own of the same name."""
    folder = _folder_of(top)
    if folder is None or Path(_place(module)).is_relative_to(folder):
        return ""
    return f", and goes before {folder / top}.py: give your module another name"


def _folder_of(top: str) -> Path | None:
    """Return the first of the user's folders that holds a module or package; None: none does."""
    if not top.isidentifier():
        return None
    return next(
        (each for each in code_folders() if (each / f"{top}.py").is_file() or (each / top).is_dir()), None
    )


def _is_installed(top: str) -> bool:
    try:
        return top.isidentifier() and find_spec(top) is not None
    # A module that was put in by hand, as tests do, may have no spec.
    except ValueError:
        return True
